/* The items of a request as JSON, what the protocols have in common. */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "jsonin.h"
#include "wire_local.h"

const char wire_bad_schema[] = "the schema of a tool is no JSON object, or "
    "goes too deep";

size_t
wire_group(const struct wire_req *req, size_t i)
{
	size_t n = 1;

	while (i + n < req->nitems && item_is_attached(req->items[i + n].kind))
		n++;
	return n;
}

json_t *
wire_messages(const struct wire_req *req, bool no_system,
    json_t *(*make)(const struct wire_req *, const struct item *, size_t n))
{
	json_t *list = json_array();

	for (size_t i = 0, n; i < req->nitems; i += n) {
		uint8_t kind = req->items[i].kind;

		n = wire_group(req, i);
		if (kind == ITEM_TOOL || kind == ITEM_CHOICE ||
		    (kind == KIND_SYSTEM && no_system))
			continue;
		if (json_array_append_new(list, make(req, &req->items[i],
		    n)) == -1) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

const struct item *
wire_find(const struct wire_req *req, uint8_t kind)
{
	for (size_t i = 0; i < req->nitems; i++)
		if (req->items[i].kind == kind)
			return &req->items[i];
	return NULL;
}

json_t *
wire_object(struct bytes text)
{
	json_t *v = text.n == 0 ? json_object() : jsonin_parse(text, NULL);

	if (json_is_object(v))
		return v;
	json_decref(v);
	return NULL;
}

json_t *
wire_base64(const char *before, struct bytes b)
{
	size_t head = strlen(before), size = head + (b.n + 2) / 3 * 4 + 1;
	char *s = malloc(size);
	json_t *v;

	if (s == NULL || b.n > INT32_MAX / 2) {
		free(s);
		return NULL;
	}
	memcpy(s, before, head);
	(void)EVP_EncodeBlock((unsigned char *)s + head, b.p, (int)b.n);
	v = json_string(s);
	OPENSSL_cleanse(s, size);
	free(s);
	return v;
}

static json_t *
tool(const struct item *it)
{
	json_t *f = json_pack("{s:o, s:o}", "name", wire_string(it->name),
	    "parameters", wire_object(it->text));

	if (it->about.n > 0 && json_object_set_new(f, "description",
	    wire_string(it->about)) == -1)
		goto fail;
	if (it->how != ITEM_UNSET && json_object_set_new(f, "strict",
	    json_boolean(it->how == ITEM_YES)) == -1)
		goto fail;
	return json_pack("{s:s, s:o}", "type", "function", "function", f);
fail:
	json_decref(f);
	return NULL;
}

static int
write_json(const char *p, size_t n, void *out)
{
	buf_put(out, p, n);
	return ((struct buf *)out)->err ? -1 : 0;
}

int
wire_dump(struct buf *out, const json_t *v)
{
	return v == NULL ? 0 : json_dump_callback(v, write_json, out,
	    JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
}

json_t *
wire_tools(const struct wire_req *req, const char **why)
{
	json_t *list = json_array();

	for (size_t i = 0; i < req->nitems; i++)
		if (req->items[i].kind == ITEM_TOOL &&
		    json_array_append_new(list, tool(&req->items[i])) == -1) {
			*why = wire_bad_schema;
			json_decref(list);
			return NULL;
		}
	return list;
}
