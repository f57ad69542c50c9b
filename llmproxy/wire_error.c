#include "wire_error.h"

#include <stdio.h>
#include <string.h>

#include "jsonin.h"

/* Bytes of a key's beginning that are too many to show. */
#define SECRET_SHOWN	8

static const struct {
	const char	*word;
	enum wire_class cls;
} words[] = {
	{ "exceed_context_size_error", WIRE_E_CONTEXT },
	{ "context_length_exceeded", WIRE_E_CONTEXT },
	{ "request_too_large", WIRE_E_CONTEXT },
	{ "insufficient_quota", WIRE_E_QUOTA },
	{ "billing_error", WIRE_E_QUOTA },
	{ "billing_hard_limit_reached", WIRE_E_QUOTA },
	{ "invalid_api_key", WIRE_E_AUTH },
	{ "authentication_error", WIRE_E_AUTH },
	{ "permission_error", WIRE_E_AUTH },
	{ "model_not_found", WIRE_E_NOTFOUND },
	{ "not_found_error", WIRE_E_NOTFOUND },
	{ "rate_limit_exceeded", WIRE_E_RATE },
	{ "rate_limit_error", WIRE_E_RATE },
	{ "overloaded_error", WIRE_E_OVERLOADED },
	{ "unavailable_error", WIRE_E_OVERLOADED },
};

/* What says in words alone that the conversation does not fit. */
static const char *const too_long[] = {
	"maximum context length",
	"exceeds the available context size",
	"exceeds the context length",
	"exceed context limit",
	"prompt is too long",
};

static const struct {
	const char	*name;
	const char	*message;
} classes[] = {
	[WIRE_E_NONE] = { "none", "no error" },
	[WIRE_E_REQUEST] = { "request", "the model's server refused the request" },
	[WIRE_E_AUTH] = { "auth", "the model's server refused our key" },
	[WIRE_E_NOTFOUND] = { "not-found", "the model's server does not know the model" },
	[WIRE_E_CONTEXT] = { "context", "the conversation is too long for the model" },
	[WIRE_E_RATE] = { "rate", "the model's server asks for fewer requests" },
	[WIRE_E_QUOTA] = { "quota", "the quota at the model's server is used up" },
	[WIRE_E_OVERLOADED] = { "overloaded", "the model's server is not ready" },
	[WIRE_E_SERVER] = { "server", "the model's server failed" },
	[WIRE_E_PROTOCOL] = { "protocol", "the model's server gave no usable answer" },
};

const char *
wire_class_name(enum wire_class cls)
{
	return classes[cls].name;
}

/*
 * Whether the well-formed character c would break a line, or rewrite what stands
 * around it on a terminal: C0, DEL, C1, U+2028 to U+202E, U+2066 to U+2069.
 */
static bool
is_control(struct bytes c)
{
	if (c.n == 1)
		return c.p[0] < 0x20 || c.p[0] == 0x7f;
	if (c.n == 2)
		return c.p[0] == 0xc2 && c.p[1] < 0xa0;
	if (c.n == 3 && c.p[0] == 0xe2 && c.p[1] == 0x80)
		return c.p[2] >= 0xa8 && c.p[2] <= 0xae;
	return c.n == 3 && c.p[0] == 0xe2 && c.p[1] == 0x81 &&
	    c.p[2] >= 0xa6 && c.p[2] <= 0xa9;
}

/*
 * Copy t, which is UTF-8 but may hold NUL, as one line of at most max bytes plus
 * NUL; runs of blanks and control characters become one space.
 */
static void
one_line(char *dst, size_t max, struct bytes t)
{
	size_t n = 0;

	while (t.n > 0) {
		uint8_t c = t.p[0];
		struct bytes ch = bytes_of(t.p, c < 0x80 ? 1 : c < 0xe0 ? 2 :
		    c < 0xf0 ? 3 : 4);

		t = bytes_of(t.p + ch.n, t.n - ch.n);
		if (c == ' ' || is_control(ch)) {
			if (n == 0 || dst[n - 1] == ' ')
				continue;
			ch = bytes_str(" ");
		}
		if (ch.n > max - n)
			break;
		memcpy(dst + n, ch.p, ch.n);
		n += ch.n;
	}
	while (n > 0 && dst[n - 1] == ' ')
		n--;
	dst[n] = '\0';
}

/* The code is for logs and comparisons: printable ASCII without spaces. */
static void
set_code(struct wire_error *e, const json_t *v)
{
	struct bytes t = jsonin_text(v);
	size_t n = 0;

	if (json_is_integer(v))
		(void)snprintf(e->code, sizeof(e->code), "%" JSON_INTEGER_FORMAT,
		    json_integer_value(v));
	if (t.n == 0)
		return;
	for (size_t i = 0; i < t.n && n < sizeof(e->code) - 1; i++)
		if (t.p[i] > 0x20 && t.p[i] < 0x7f)
			e->code[n++] = (char)t.p[i];
	e->code[n] = '\0';
}

static enum wire_class
class_of_word(const json_t *v)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (jsonin_is(v, words[i].word))
			return words[i].cls;
	return WIRE_E_NONE;
}

static enum wire_class
class_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return WIRE_E_AUTH;
	case 402:
		return WIRE_E_QUOTA;
	case 404:
		return WIRE_E_NOTFOUND;
	case 413:
		return WIRE_E_CONTEXT;
	case 408:
	case 409:
		return WIRE_E_SERVER;
	case 429:
		return WIRE_E_RATE;
	case 503:
	case 529:
		return WIRE_E_OVERLOADED;
	default:
		if (status >= 500 || status == 200)
			return WIRE_E_SERVER;
		return status >= 400 ? WIRE_E_REQUEST : WIRE_E_PROTOCOL;
	}
}

static bool
contains(struct bytes t, const char *s)
{
	return t.n > 0 && memmem(t.p, t.n, s, strlen(s)) != NULL;
}

static long
count_of(const json_t *v)
{
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;

	return n < 0 || n > INT32_MAX ? -1 : (long)n;
}

/* Set the class when nothing did, what follows from it, and some message. */
static void
settle(struct wire_error *e)
{
	if (e->cls == WIRE_E_NONE)
		e->cls = class_of_status(e->status);
	e->retry = e->cls == WIRE_E_RATE || e->cls == WIRE_E_OVERLOADED ||
	    e->cls == WIRE_E_SERVER;
	if (e->message[0] != '\0')
		return;
	if (e->status == 200 || e->status == 0)
		one_line(e->message, WIRE_MESSAGE_MAX,
		    bytes_str(classes[e->cls].message));
	else
		(void)snprintf(e->message, sizeof(e->message),
		    "%s (HTTP status %d)", classes[e->cls].message, e->status);
}

static void
start(struct wire_error *e, int status)
{
	memset(e, 0, sizeof(*e));
	e->status = status;
	e->prompt_tokens = e->context_tokens = -1;
}

/* A message, and what those words say that put no code beside them. */
static void
set_message(struct wire_error *e, struct bytes t)
{
	one_line(e->message, WIRE_MESSAGE_MAX, t);
	if (e->cls != WIRE_E_NONE || (e->status != 400 && e->status != 200))
		return;
	for (size_t i = 0; i < sizeof(too_long) / sizeof(too_long[0]); i++)
		if (contains(t, too_long[i]))
			e->cls = WIRE_E_CONTEXT;
}

/* err is the object that has the members, or just a text. */
static void
read_members(struct wire_error *e, const json_t *err)
{
	const json_t *code = json_object_get(err, "code");
	const json_t *type = json_object_get(err, "type");
	const json_t *message = json_object_get(err, "message");
	long n = count_of(code);

	/* A word says more than the number that often stands beside it. */
	set_code(e, code);
	if (!json_is_string(code))
		set_code(e, type);
	if (e->status == 200 && n >= 400 && n <= 599)
		e->status = (int)n;
	if ((e->cls = class_of_word(code)) == WIRE_E_NONE)
		e->cls = class_of_word(type);
	if (e->cls == WIRE_E_NONE && e->status == 200 &&
	    jsonin_is(type, "invalid_request_error"))
		e->cls = WIRE_E_REQUEST;
	e->prompt_tokens = count_of(json_object_get(err, "n_prompt_tokens"));
	e->context_tokens = count_of(json_object_get(err, "n_ctx"));
	if (message == NULL)
		message = json_object_get(err, "detail");
	set_message(e, jsonin_text(json_is_string(err) ? err : message));
}

bool
wire_error_is(const json_t *root)
{
	const json_t *err = json_object_get(root, "error");

	if (jsonin_is(json_object_get(root, "object"), "error"))
		return true;
	return err != NULL && !json_is_null(err) && !json_is_false(err);
}

void
wire_error_json(struct wire_error *e, int status, const json_t *root)
{
	const json_t *err;

	start(e, status);
	if (json_is_array(root))
		root = json_array_get(root, 0);
	err = json_object_get(root, "error");
	read_members(e, json_is_object(err) || json_is_string(err) ? err : root);
	settle(e);
}

void
wire_error_body(struct wire_error *e, int status, struct bytes body)
{
	json_t *root = jsonin_parse(body, NULL);

	if (root != NULL) {
		wire_error_json(e, status, root);
		json_decref(root);
		return;
	}
	start(e, status);
	/* A page of HTML says less than the status. */
	if (body.n > 0 && bytes_utf8(body) && !contains(body, "<") &&
	    body.p[0] != '{')
		set_message(e, body);
	settle(e);
}

void
wire_error_protocol(struct wire_error *e, const char *message)
{
	start(e, 0);
	e->cls = WIRE_E_PROTOCOL;
	set_message(e, bytes_str(message));
	settle(e);
}

static void
redact(char *s, struct bytes secret)
{
	size_t len = strlen(s), m;

	for (size_t i = 0; i < len; i++) {
		for (m = 0; m < secret.n && i + m < len &&
		    (uint8_t)s[i + m] == secret.p[m]; m++)
			;
		if (m >= SECRET_SHOWN) {
			memset(s + i, '*', m);
			i += m - 1;
		}
	}
}

void
wire_error_redact(struct wire_error *e, struct bytes secret)
{
	redact(e->code, secret);
	redact(e->message, secret);
}

/* A decimal number, perhaps with a fraction, times scale; -1 if it is none. */
static long
decimal(const char *s, long scale)
{
	long v = 0;

	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++)
		if ((v = v * 10 + (*s - '0') * scale) > WIRE_RETRY_MAX)
			v = WIRE_RETRY_MAX + 1;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++)
			v += (*s - '0') * (scale /= 10);
	return *s != '\0' ? -1 :
	    v > WIRE_RETRY_MAX ? WIRE_RETRY_MAX + 1 : v;
}

long
wire_retry_after(const char *retry_after_ms, const char *retry_after,
    time_t now)
{
	struct tm tm;
	const char *end;
	time_t t;
	long v = -1;

	if (retry_after_ms != NULL)
		v = decimal(retry_after_ms, 1);
	if (v != -1 || retry_after == NULL)
		return v;
	if ((v = decimal(retry_after, 1000)) != -1)
		return v;
	memset(&tm, 0, sizeof(tm));
	end = strptime(retry_after, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0' || (t = timegm(&tm)) == -1)
		return -1;
	if (t <= now)
		return 0;
	return t - now > WIRE_RETRY_MAX / 1000 ? WIRE_RETRY_MAX + 1 :
	    (long)(t - now) * 1000;
}
