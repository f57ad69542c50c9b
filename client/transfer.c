#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <unistd.h>

#include <jansson.h>

#include "exits.h"
#include "ui.h"

#define TITLE_MAX	256
#define MODEL_MAX	64
#define TEXT_MAX	1048576

struct transfer {
	json_t	*root;
	json_t	*messages;
};

__attribute__((format(printf, 3, 4)))
static int
refuse(char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return -1;
}

/* A string member of at most max bytes; one that may be absent is then empty. */
static bool
get_text(const json_t *o, const char *name, size_t max, bool must,
    struct bytes *out)
{
	const json_t *v = json_object_get(o, name);

	*out = bytes_of(NULL, 0);
	if (v == NULL)
		return !must;
	if (!json_is_string(v) || json_string_length(v) > max)
		return false;
	*out = bytes_of(json_string_value(v), json_string_length(v));
	return true;
}

/* A number from 0 to max; absent: 0. */
static bool
get_number(const json_t *o, const char *name, uint64_t max, uint64_t *out)
{
	const json_t *v = json_object_get(o, name);

	*out = 0;
	if (v == NULL)
		return true;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

/* The members of a message; NULL, or the name of one that is wrong. */
static const char *
take(const json_t *o, struct m_c_import *m)
{
	uint64_t finish, prompt, completion;
	struct bytes role;

	if (!get_text(o, "role", 16, true, &role))
		return "role";
	if (bytes_eq(role, bytes_str("user")))
		m->kind = KIND_USER;
	else if (bytes_eq(role, bytes_str("assistant")))
		m->kind = KIND_ASSISTANT;
	else if (bytes_eq(role, bytes_str("system")))
		m->kind = KIND_SYSTEM;
	else if (bytes_eq(role, bytes_str("withdrawal")))
		m->kind = KIND_WITHDRAWN;
	else
		return "role";
	if (!get_text(o, "text", TEXT_MAX, true, &m->text) ||
	    (m->kind == KIND_USER && m->text.n == 0))
		return "text";
	if (!get_text(o, "model", MODEL_MAX, false, &m->model))
		return "model";
	if (!get_number(o, "time_us", INT64_MAX, &m->time_us))
		return "time_us";
	if (!get_number(o, "finish", FINISH_FILTER, &finish))
		return "finish";
	if (!get_number(o, "prompt_tokens", UINT32_MAX, &prompt))
		return "prompt_tokens";
	if (!get_number(o, "completion_tokens", UINT32_MAX, &completion))
		return "completion_tokens";
	m->finish = (uint8_t)finish;
	m->prompt_tokens = (uint32_t)prompt;
	m->completion_tokens = (uint32_t)completion;
	return NULL;
}

static int
check(struct transfer *t, char *err, size_t errlen)
{
	struct bytes format, title;
	struct m_c_import m;
	uint64_t version;
	const char *bad;

	if (!get_text(t->root, "format", 64, true, &format) ||
	    !bytes_eq(format, bytes_str(TRANSFER_FORMAT)))
		return refuse(err, errlen, "not an exported conversation");
	if (!get_number(t->root, "version", INT64_MAX, &version) ||
	    version != TRANSFER_VERSION)
		return refuse(err, errlen, "exported by another version of "
		    "Cloister than this one reads");
	if (!get_text(t->root, "title", TITLE_MAX, false, &title))
		return refuse(err, errlen, "the title is too long");
	t->messages = json_object_get(t->root, "messages");
	if (!json_is_array(t->messages) || transfer_count(t) == 0)
		return refuse(err, errlen, "it has no messages");
	for (size_t i = 0; i < transfer_count(t); i++)
		if ((bad = take(json_array_get(t->messages, i), &m)) != NULL)
			return refuse(err, errlen, "message %zu: %s is missing "
			    "or not acceptable", i + 1, bad);
	return 0;
}

static int
read_file(const char *path, struct buf *b)
{
	bool in = strcmp(path, "-") == 0;
	int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	uint8_t part[16384];
	ssize_t n = -1;

	if (fd != -1)
		while ((n = read(fd, part, sizeof(part))) > 0 ||
		    (n == -1 && errno == EINTR))
			if (n > 0)
				buf_put(b, part, (size_t)n);
	if (n == -1)
		ui_err("%s: %s", path, strerror(errno));
	if (fd != -1 && !in)
		(void)close(fd);
	if (n == -1)
		return RC_ERROR;
	if (b->err) {
		ui_err("%s: more than %u MiB", path, TRANSFER_MAX >> 20);
		return RC_ERROR;
	}
	return RC_OK;
}

int
transfer_load(const char *path, struct transfer **t)
{
	struct buf file = BUF_INIT(TRANSFER_MAX);
	char err[256];
	int rc = read_file(path, &file);

	if (rc == RC_OK && (*t = transfer_parse(buf_bytes(&file), err,
	    sizeof(err))) == NULL) {
		ui_err("%s: %s", path, err);
		rc = RC_ERROR;
	}
	buf_free(&file);
	return rc;
}

struct transfer *
transfer_parse(struct bytes file, char *err, size_t errlen)
{
	struct transfer *t;
	json_error_t je;

	if ((t = calloc(1, sizeof(*t))) == NULL) {
		(void)refuse(err, errlen, "not enough memory");
		return NULL;
	}
	t->root = json_loadb((const char *)file.p, file.n,
	    JSON_REJECT_DUPLICATES, &je);
	if (t->root == NULL) {
		(void)refuse(err, errlen, "not JSON: line %d: %s", je.line,
		    je.text);
	} else if (check(t, err, errlen) == 0)
		return t;
	transfer_free(t);
	return NULL;
}

void
transfer_free(struct transfer *t)
{
	if (t == NULL)
		return;
	json_decref(t->root);
	free(t);
}

size_t
transfer_count(const struct transfer *t)
{
	return json_array_size(t->messages);
}

/* The object that has i's members, or NULL. */
static const json_t *
object_of(const struct transfer *t, size_t i)
{
	return i == TRANSFER_HEAD ? json_object_get(t->root, "signed") :
	    json_array_get(t->messages, i);
}

bool
transfer_bytes(const struct transfer *t, size_t i, const char *name,
    struct buf *out)
{
	char two[3] = "";
	struct bytes text;
	uint8_t *p;

	if (!get_text(object_of(t, i), name, 2 * out->max, false, &text) ||
	    text.n % 2 != 0)
		return false;
	if (text.n == 0)
		return true;
	if ((p = buf_grow(out, text.n / 2)) == NULL)
		return false;
	for (size_t at = 0; at < text.n; at += 2) {
		memcpy(two, text.p + at, 2);
		if (hex_decode(p++, 1, two) == -1)
			return false;
	}
	return true;
}

bool
transfer_number(const struct transfer *t, size_t i, const char *name,
    uint64_t *out)
{
	return json_object_get(object_of(t, i), name) != NULL &&
	    get_number(object_of(t, i), name, INT64_MAX, out);
}

void
transfer_message(const struct transfer *t, size_t i, struct m_c_import *m)
{
	memset(m, 0, sizeof(*m));
	(void)take(json_array_get(t->messages, i), m);
	(void)get_text(t->root, "title", TITLE_MAX, false, &m->title);
}
