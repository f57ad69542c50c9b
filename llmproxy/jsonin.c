#include "jsonin.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "log.h"

/* What jansson allocates holds prompts and answers: its size goes before it. */
union head {
	size_t		n;
	max_align_t	align;
};

static void *
wiped_malloc(size_t n)
{
	union head *h;

	if (n > SIZE_MAX - sizeof(*h) || (h = malloc(sizeof(*h) + n)) == NULL)
		return NULL;
	h->n = n;
	return h + 1;
}

static void
wiped_free(void *p)
{
	union head *h = p;

	if (p == NULL)
		return;
	h--;
	OPENSSL_cleanse(p, h->n);
	free(h);
}

void
jsonin_init(void)
{
	size_t seed = 0;

	/* A seed of 0 would make jansson look for one by itself. */
	while (seed == 0)
		if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1)
			fatalx("no randomness for the JSON parser");
	json_set_alloc_funcs(wiped_malloc, wiped_free);
	json_object_seed(seed);
}

/*
 * jansson recurses up to 2048 levels and spends some 300 bytes on "{},": both are
 * bounded here, before it sees the text.
 */
static bool
bounded(struct bytes t)
{
	size_t depth = 0, items = 1;
	bool string = false;

	for (size_t i = 0; i < t.n; i++) {
		uint8_t c = t.p[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
			continue;
		}
		if (c == '"')
			string = true;
		else if (c == '[' || c == '{') {
			depth++;
			items++;
		} else if (c == ',')
			items++;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		if (depth > JSON_DEPTH_MAX || items > JSON_ITEMS_MAX)
			return false;
	}
	return true;
}

json_t *
jsonin_parse(struct bytes text, bool *cut)
{
	json_error_t e;
	json_t *v;

	if (cut != NULL)
		*cut = false;
	/* jansson overlooks a NUL byte that it has looked at and put back. */
	if (text.n == 0 || memchr(text.p, '\0', text.n) != NULL ||
	    !bounded(text)) {
		if (cut != NULL)
			*cut = text.n == 0;
		return NULL;
	}
	v = json_loadb((const char *)text.p, text.n,
	    JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
	if (v == NULL && cut != NULL)
		*cut = json_error_code(&e) == json_error_premature_end_of_input;
	return v;
}

struct bytes
jsonin_text(const json_t *v)
{
	if (!json_is_string(v))
		return bytes_of(NULL, 0);
	return bytes_of(json_string_value(v), json_string_length(v));
}

bool
jsonin_is(const json_t *v, const char *s)
{
	return json_is_string(v) && bytes_eq(jsonin_text(v), bytes_str(s));
}
