#include "standin.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define WORD_MAX	8192	/* bytes of one delta */
#define QUOTE_MAX	80		/* bytes of the user's message quoted */
#define HANG_MS		600000

/* Text in words, each with its blank, at the configured pace; how many. */
static int
words(struct conn *c, bool reasoning, const char *text)
{
	char *w;
	int n = 0;

	while (*text != '\0' && !c->gone) {
		size_t len = strcspn(text, " \n");

		len += strspn(text + len, " \n");
		if (len > WORD_MAX)	/* between two characters */
			for (len = WORD_MAX; (text[len] & 0xc0) == 0x80; len--)
				;
		if ((w = strndup(text, len)) == NULL)
			fatal("strndup");
		wire_piece(c, reasoning, w);
		free(w);
		text += len;
		n++;
		nap(c, standin.delay_ms);
	}
	return n;
}

static void
reply(struct conn *c, const char *text)
{
	if (!c->stream) {
		wire_whole(c, text);
		return;
	}
	wire_open(c, true);
	wire_piece(c, false, "");
	wire_finish(c, "stop", (int)c->nmsgs, words(c, false, text));
}

static void
do_default(struct conn *c)
{
	char text[512];
	size_t n = strlen(c->last);

	if (n > QUOTE_MAX)
		for (n = QUOTE_MAX; n > 0 && (c->last[n] & 0xc0) == 0x80; n--)
			;
	(void)snprintf(text, sizeof(text), "This is Cloister's bundled "
	    "stand-in, not a language model. You wrote: \"%.*s%s\". "
	    "The request held %zu message%s%s.", (int)n, c->last,
	    c->last[n] != '\0' ? "..." : "", c->nmsgs,
	    c->nmsgs == 1 ? "" : "s",
	    c->system ? " and a system prompt" : "");
	reply(c, text);
}

static void
do_echo(struct conn *c)
{
	reply(c, c->last);
}

/* The body as it came, for whoever wants to know what was asked. */
static void
do_request(struct conn *c)
{
	char *text = json_dumps(c->req, JSON_COMPACT);

	if (text == NULL)
		fatal("json_dumps");
	reply(c, text);
	free(text);
}

/* "long" is 300 deltas, "long-N" N hundred. */
static void
do_long(struct conn *c)
{
	int hundreds = c->model[4] == '-' ?
	    (int)strtonum(c->model + 5, 1, 10000, NULL) : 3;
	char text[32];
	int i;

	wire_open(c, true);
	for (i = 0; i < hundreds * 100 && !c->gone; i++) {
		(void)snprintf(text, sizeof(text), "word%d ", i);
		wire_piece(c, false, text);
		nap(c, standin.delay_ms);
	}
	wire_finish(c, "stop", (int)c->nmsgs, i);
}

static void
do_slow(struct conn *c)
{
	nap(c, 2000);
	reply(c, "slow but here");
}

static void
do_err200(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, false, "It begins well ");
	wire_error(c, "server_error", "the slot failed");
}

/* The connection ends inside of the chunked body. */
static void
do_trunc(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, false, "This sentence has no ");
}

/* The same where the end of the connection is the end of the body. */
static void
do_trunceof(struct conn *c)
{
	wire_open(c, false);
	(void)words(c, false, "This sentence has no ");
}

static void
do_doneonly(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, false, "No reason given ");
	wire_say(c, "data: [DONE]\n\n");
	wire_close(c);
}

static void
do_length(struct conn *c)
{
	wire_open(c, true);
	wire_finish(c, "length", 7, words(c, false, "Cut by the limit of "));
}

static void
do_crlf(struct conn *c)
{
	c->crlf = c->dribble = true;
	wire_open(c, true);
	wire_say(c, ": STANDIN PROCESSING\n\n:\n\nid: 1\nretry: 5\nnonsense\n");
	wire_piece(c, false, "");
	wire_piece(c, false, "Gr\xc3\xbc\xc3\x9f" "e \xe2\x82\xac ");
	wire_say(c, ":\n\n");
	wire_piece(c, false, "\xf0\x9f\x8f\xb0 end");
	wire_finish(c, "stop", 5, 2);
}

static void
do_reason(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, true, "First I think ");
	wire_finish(c, "stop", 5, words(c, false, "Then I speak."));
}

static void
do_nullc(struct conn *c)
{
	wire_open(c, true);
	wire_piece(c, false, NULL);
	wire_piece(c, false, "");
	wire_finish(c, "stop", 5, words(c, false, "After nothing."));
}

static void
do_raw(struct conn *c, const char *event)
{
	wire_open(c, true);
	(void)words(c, false, "Before ");
	wire_say(c, event);
	wire_finish(c, "stop", 5, 1);
}

static void
do_garbage(struct conn *c)
{
	do_raw(c, "data: {\"choices\":[{\"delta\":]}\n\n");
}

static void
do_badutf8(struct conn *c)
{
	do_raw(c, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"
	    "\"a\xff\xc3(\"},\"finish_reason\":null}]}\n\n");
}

static void
do_nul(struct conn *c)
{
	do_raw(c, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":"
	    "\"a\\u0000b\"},\"finish_reason\":null}]}\n\n");
}

static void
do_tools(struct conn *c)
{
	wire_open(c, true);
	wire_say(c, "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":"
	    "[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}"
	    ",\"finish_reason\":null}]}\n\n");
	wire_finish(c, "tool_calls", 5, 1);
}

/* What a tool gave, as the last message of the request, or NULL. */
static const char *
tool_result(const struct conn *c)
{
	const json_t *msgs = json_object_get(c->req, "messages");
	const json_t *m = json_array_get(msgs, json_array_size(msgs) - 1);
	const json_t *content = json_object_get(m, "content");
	const char *role = json_string_value(json_object_get(m, "role"));

	if (c->wire == PROVIDER_ANTHROPIC)
		return json_string_value(json_object_get(json_array_get(content,
		    0), "content"));
	return role != NULL && strcmp(role, "tool") == 0 ?
	    json_string_value(content) : NULL;
}

/* Call the first tool with the question, or say what it gave. */
static void
do_call(struct conn *c)
{
	const json_t *tool = json_array_get(json_object_get(c->req, "tools"), 0);
	const char *result = tool_result(c), *name;
	char text[512];
	json_t *v;
	char *args;

	if (c->wire != PROVIDER_ANTHROPIC)
		tool = json_object_get(tool, "function");
	name = json_string_value(json_object_get(tool, "name"));
	if (result != NULL || name == NULL) {
		(void)snprintf(text, sizeof(text), "The tool said: %s",
		    result != NULL ? result : "nothing, there is none");
		reply(c, text);
		return;
	}
	v = json_pack("{s:s}", "text", c->last);
	if ((args = json_dumps(v, JSON_COMPACT)) == NULL)
		fatalx("json");
	wire_open(c, true);
	wire_call(c, name, args);
	wire_finish(c, "tool_calls", (int)c->nmsgs, 1);
	free(args);
	json_decref(v);
}

/* How much of images there is, in base64, in the last message. */
static void
do_look(struct conn *c)
{
	const json_t *msgs = json_object_get(c->req, "messages"), *v, *part;
	const json_t *m = json_array_get(msgs, json_array_size(msgs) - 1);
	const char *url = NULL;
	char text[512];
	size_t n = 0, bytes = 0;

	v = json_object_get(m, c->wire == PROVIDER_OLLAMA ? "images" :
	    "content");
	for (size_t i = 0; i < json_array_size(v); i++) {
		part = json_array_get(v, i);
		url = c->wire == PROVIDER_OLLAMA ? json_string_value(part) :
		    c->wire == PROVIDER_OPENAI ? json_string_value(
		    json_object_get(json_object_get(part, "image_url"),
		    "url")) : json_string_value(json_object_get(
		    json_object_get(part, "source"), "data"));
		if (url == NULL)
			continue;
		n++;
		bytes += strlen(url) - (strchr(url, ',') != NULL ?
		    strcspn(url, ",") + 1 : 0);
	}
	(void)snprintf(text, sizeof(text), "I see %zu images of %zu", n, bytes);
	reply(c, text);
}

static void
do_huge(struct conn *c)
{
	size_t n = 2 * 1024 * 1024;
	char *s = malloc(n + 1);

	if (s == NULL)
		fatal("malloc");
	memset(s, 'x', n);
	s[n] = '\0';
	wire_open(c, true);
	wire_piece(c, false, s);
	wire_finish(c, "stop", 5, 1);
	free(s);
}

static void
do_hang(struct conn *c)
{
	wire_open(c, true);
	nap(c, HANG_MS);
}

static void
log_line(const char *line)
{
	size_t n = strlen(line);

	if (standin.log_fd != -1 && write(standin.log_fd, line, n) != (ssize_t)n)
		fatal("log");
}

/* Not a byte, as of a server whose slots are all taken. */
static void
do_mute(struct conn *c)
{
	log_line("mute asked\n");
	nap(c, HANG_MS);
}

static void
do_stall(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, false, "Wait for ");
	nap(c, HANG_MS);
}

static void
do_usage(struct conn *c)
{
	wire_open(c, true);
	(void)words(c, false, "counted");
	wire_finish(c, "stop", 1234, 567);
}

static void
do_nostream(struct conn *c)
{
	wire_whole(c, "This came in one piece.");
}

static void
do_err429(struct conn *c)
{
	answer_plain(c, 429, "Retry-After: 1\r\n", "{\"error\":{\"message\":"
	    "\"Rate limit reached\",\"type\":\"requests\",\"param\":null,"
	    "\"code\":\"rate_limit_exceeded\"}}");
}

#define LOADING	"{\"error\":{\"code\":503,\"message\":\"Loading model\"," \
		"\"type\":\"unavailable_error\"}}"

/* Every other request finds the model loading: a retry succeeds. */
static void
do_flaky(struct conn *c)
{
	static atomic_uint n;

	if (atomic_fetch_add(&n, 1) % 2 == 0)
		answer_plain(c, 503, "", LOADING);
	else
		reply(c, "loaded now");
}

static void
do_redirect(struct conn *c)
{
	answer_plain(c, 302, "Location: http://169.254.169.254/\r\n", "");
}

static void
do_redirectfile(struct conn *c)
{
	answer_plain(c, 302, "Location: file:///etc/passwd\r\n", "");
}

/* To this very server, where an answer waits. */
static void
do_redirecthere(struct conn *c)
{
	answer_plain(c, 307, "Location: /v1/models\r\n", "");
}

static const struct {
	const char	*model;
	void		(*run)(struct conn *);
	int		 status;	/* with run NULL: this and body */
	const char	*body;
} behaviours[] = {
	{ "standin", do_default, 0, NULL },
	{ "echo", do_echo, 0, NULL },
	{ "request", do_request, 0, NULL },
	{ "long", do_long, 0, NULL },
	{ "slow", do_slow, 0, NULL },
	{ "err200", do_err200, 0, NULL },
	{ "trunc", do_trunc, 0, NULL },
	{ "trunceof", do_trunceof, 0, NULL },
	{ "doneonly", do_doneonly, 0, NULL },
	{ "length", do_length, 0, NULL },
	{ "crlf", do_crlf, 0, NULL },
	{ "reason", do_reason, 0, NULL },
	{ "nullc", do_nullc, 0, NULL },
	{ "garbage", do_garbage, 0, NULL },
	{ "badutf8", do_badutf8, 0, NULL },
	{ "nul", do_nul, 0, NULL },
	{ "tools", do_tools, 0, NULL },
	{ "call", do_call, 0, NULL },
	{ "look", do_look, 0, NULL },
	{ "huge", do_huge, 0, NULL },
	{ "hang", do_hang, 0, NULL },
	{ "mute", do_mute, 0, NULL },
	{ "stall", do_stall, 0, NULL },
	{ "usage", do_usage, 0, NULL },
	{ "nostream", do_nostream, 0, NULL },
	{ "flaky", do_flaky, 0, NULL },
	{ "redirect", do_redirect, 0, NULL },
	{ "redirectfile", do_redirectfile, 0, NULL },
	{ "redirecthere", do_redirecthere, 0, NULL },
	{ "err429", do_err429, 0, NULL },
	{ "err400", NULL, 400, "{\"error\":{\"code\":400,\"message\":"
	    "\"the request exceeds the available context size\",\"type\":"
	    "\"exceed_context_size_error\",\"n_prompt_tokens\":9000,"
	    "\"n_ctx\":4096}}" },
	{ "erranth", NULL, 400, "{\"type\":\"error\",\"error\":{\"type\":"
	    "\"invalid_request_error\",\"message\":\"prompt is too long: "
	    "208310 tokens > 200000 maximum\"},\"request_id\":\"r\"}" },
	{ "err401", NULL, 401, "{\"error\":{\"message\":\"Incorrect API key "
	    "provided\",\"type\":\"invalid_request_error\",\"param\":null,"
	    "\"code\":\"invalid_api_key\"}}" },
	{ "err404", NULL, 404, "{\"error\":{\"message\":\"no such model\","
	    "\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":"
	    "\"model_not_found\"}}" },
	{ "errquota", NULL, 429, "{\"error\":{\"message\":\"You exceeded your "
	    "current quota\",\"type\":\"insufficient_quota\",\"param\":null,"
	    "\"code\":\"insufficient_quota\"}}" },
	{ "err500", NULL, 500, "{\"error\":{\"code\":500,\"message\":"
	    "\"internal failure\",\"type\":\"server_error\"}}" },
	{ "err503loading", NULL, 503, LOADING },
	{ "errstr", NULL, 400, "{\"error\":\"a plain text\"}" },
	{ "errobj", NULL, 400, "{\"object\":\"error\",\"message\":"
	    "\"the older shape\",\"type\":\"BadRequestError\",\"param\":null,"
	    "\"code\":400}" },
};
#define NBEHAVIOURS	(sizeof(behaviours) / sizeof(behaviours[0]))

void
answer_models(struct conn *c)
{
	json_t *list = json_array(), *v;
	char *s;

	for (size_t i = 0; i < NBEHAVIOURS; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}",
		    "id", behaviours[i].model, "object", "model", "owned_by",
		    "cloister"));
	v = json_pack("{s:s, s:o}", "object", "list", "data", list);
	if ((s = json_dumps(v, JSON_COMPACT)) == NULL)
		fatalx("json");
	answer_plain(c, 200, "", s);
	free(s);
	json_decref(v);
}

static void
log_request(const struct conn *c)
{
	char line[128];

	(void)snprintf(line, sizeof(line), "%s %zu %s%s\n", c->model, c->nmsgs,
	    c->gone && !c->sent ? "aborted" : "done",
	    c->credentials ? " credentials" : "");
	log_line(line);
}

/* What matters of the request; -1 when it is no chat completion. */
static int
read_request(struct conn *c, struct bytes body)
{
	const char *model, *role, *text;
	json_t *msgs;

	c->req = json_loadb((const char *)body.p, body.n, 0, NULL);
	model = json_string_value(json_object_get(c->req, "model"));
	msgs = json_object_get(c->req, "messages");
	if (model == NULL || !json_is_array(msgs))
		return -1;
	(void)strlcpy(c->model, model, sizeof(c->model));
	for (char *p = c->model; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			*p = '?';
	c->stream = json_is_true(json_object_get(c->req, "stream"));
	c->nmsgs = json_array_size(msgs);
	c->last = "";
	c->system = json_is_string(json_object_get(c->req, "system"));
	for (size_t i = 0; i < c->nmsgs; i++) {
		const json_t *m = json_array_get(msgs, i);

		role = json_string_value(json_object_get(m, "role"));
		text = json_string_value(json_object_get(m, "content"));
		if (role == NULL || text == NULL)
			continue;
		if (strcmp(role, "user") == 0)
			c->last = text;
		c->system |= strcmp(role, "system") == 0;
	}
	return 0;
}

void
answer_completion(struct conn *c, struct bytes body)
{
	size_t i, len;

	if (read_request(c, body) == -1) {
		answer_plain(c, 400, "", "{\"error\":{\"message\":\"malformed request\""
		    ",\"type\":\"invalid_request_error\",\"code\":null}}");
		return;
	}
	len = strncmp(c->model, "long-", 5) == 0 ? 4 : strlen(c->model);
	for (i = NBEHAVIOURS - 1; i > 0; i--)
		if (strlen(behaviours[i].model) == len &&
		    memcmp(behaviours[i].model, c->model, len) == 0)
			break;
	if (behaviours[i].run != NULL)
		behaviours[i].run(c);
	else
		answer_plain(c, behaviours[i].status, "", behaviours[i].body);
	log_request(c);
}
