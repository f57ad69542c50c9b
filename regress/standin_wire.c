/*
 * The protocols that the stand-in speaks: how pieces of an answer look.  What
 * is said, and what goes wrong, is standin_answer.c's.
 */
#include "standin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define PIECE_MAX	(4 * 1024 * 1024)

/* A piece of the answer's body. */
static void
put(struct conn *c, const char *s, size_t n)
{
	char head[24];
	struct buf b = BUF_INIT(PIECE_MAX);

	if (c->chunked) {
		(void)snprintf(head, sizeof(head), "%zx\r\n", n);
		buf_str(&b, head);
	}
	buf_put(&b, s, n);
	if (c->chunked)
		buf_str(&b, "\r\n");
	/* Before, not after: a client may well leave once it has the last byte. */
	nap(c, 0);
	write_all(c, b.p, b.n);
	buf_free(&b);
}

void
wire_say(struct conn *c, const char *s)
{
	if (!c->dribble) {
		put(c, s, strlen(s));
		return;
	}
	for (; *s != '\0'; s++) {
		if (c->crlf && *s == '\n')
			put(c, "\r", 1);
		put(c, s, 1);
	}
}

void
wire_close(struct conn *c)
{
	c->sent = !c->gone;
	put(c, "", 0);
}

/* One value of the stream; steals v. */
static void
say_json(struct conn *c, json_t *v)
{
	char *s = json_dumps(v, JSON_COMPACT), *event;
	const char *name = json_string_value(json_object_get(v, "type"));
	int n;

	if (s == NULL)
		fatalx("json");
	if (c->wire == PROVIDER_OLLAMA)
		n = asprintf(&event, "%s\n", s);
	else if (c->wire == PROVIDER_ANTHROPIC)
		n = asprintf(&event, "event: %s\ndata: %s\n\n", name, s);
	else
		n = asprintf(&event, "data: %s\n\n", s);
	if (n == -1)
		fatalx("json");
	wire_say(c, event);
	free(event);
	free(s);
	json_decref(v);
}

static void
answer_head(struct conn *c, int status, const char *type, const char *extra)
{
	char head[512];

	(void)snprintf(head, sizeof(head), "HTTP/1.1 %d Standin\r\n"
	    "Content-Type: %s\r\n%s%s%s\r\n", status, type,
	    c->chunked ? "Transfer-Encoding: chunked\r\n" : "", extra,
	    standin.keep_alive && c->chunked ? "" : "Connection: close\r\n");
	write_all(c, head, strlen(head));
}

void
wire_open(struct conn *c, bool chunked)
{
	c->chunked = chunked;
	answer_head(c, 200, c->wire == PROVIDER_OLLAMA ?
	    "application/x-ndjson" : "text/event-stream", "");
	if (c->wire != PROVIDER_ANTHROPIC)
		return;
	say_json(c, json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:[], s:n, s:{s:i, "
	    "s:i}}}", "type", "message_start", "message", "id", "msg_standin",
	    "type", "message", "role", "assistant", "model", c->model, "content",
	    "stop_reason", "usage", "input_tokens", (int)c->nmsgs,
	    "output_tokens", 0));
	say_json(c, json_pack("{s:s, s:i, s:{s:s, s:s}}", "type",
	    "content_block_start", "index", 0, "content_block", "type", "text",
	    "text", ""));
}

void
answer_plain(struct conn *c, int status, const char *extra, const char *body)
{
	c->chunked = false;
	answer_head(c, status, "application/json", extra);
	put(c, body, strlen(body));
}

/* ---- OpenAI -------------------------------------------------------------- */

/* Steals choices and usage, which may be NULL. */
static json_t *
chunk(struct conn *c, json_t *choices, json_t *usage)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:o, s:o*}",
	    "id", "chatcmpl-standin", "object", "chat.completion.chunk",
	    "created", (json_int_t)time(NULL), "model", c->model,
	    "choices", choices, "usage", usage);
}

static json_t *
counts(int prompt, int completion)
{
	return json_pack("{s:i, s:i, s:i}", "prompt_tokens", prompt,
	    "completion_tokens", completion, "total_tokens",
	    prompt + completion);
}

static void
openai_end(struct conn *c, const char *reason, int prompt, int completion)
{
	say_json(c, chunk(c, json_pack("[{s:i, s:{}, s:s}]", "index", 0,
	    "delta", "finish_reason", reason), NULL));
	say_json(c, chunk(c, json_array(), counts(prompt, completion)));
	wire_say(c, "data: [DONE]\n\n");
}

/* ---- Anthropic ----------------------------------------------------------- */

static const char *
anthropic_reason(const char *reason)
{
	return strcmp(reason, "stop") == 0 ? "end_turn" :
	    strcmp(reason, "length") == 0 ? "max_tokens" : "tool_use";
}

static void
anthropic_end(struct conn *c, const char *reason, int completion)
{
	say_json(c, json_pack("{s:s, s:i}", "type", "content_block_stop",
	    "index", 0));
	say_json(c, json_pack("{s:s, s:{s:s, s:n}, s:{s:i}}", "type",
	    "message_delta", "delta", "stop_reason", anthropic_reason(reason),
	    "stop_sequence", "usage", "output_tokens", completion));
	say_json(c, json_pack("{s:s}", "type", "message_stop"));
}

/* ---- Ollama -------------------------------------------------------------- */

static json_t *
ollama_end(struct conn *c, const char *text, const char *reason, int prompt,
    int completion)
{
	return json_pack("{s:s, s:{s:s, s:s}, s:b, s:s, s:i, s:i}", "model",
	    c->model, "message", "role", "assistant", "content", text, "done", 1,
	    "done_reason", reason, "prompt_eval_count", prompt, "eval_count",
	    completion);
}

/* ---- all of them --------------------------------------------------------- */

void
wire_piece(struct conn *c, bool reasoning, const char *text)
{
	const char *member;

	switch (c->wire) {
	case PROVIDER_OPENAI:
		member = reasoning ? "reasoning_content" : "content";
		say_json(c, chunk(c, json_pack("[{s:i, s:{s:s?}, s:n}]", "index",
		    0, "delta", member, text, "finish_reason"), NULL));
		break;
	case PROVIDER_ANTHROPIC:
		member = reasoning ? "thinking" : "text";
		say_json(c, json_pack("{s:s, s:i, s:{s:s, s:s?}}", "type",
		    "content_block_delta", "index", 0, "delta", "type",
		    reasoning ? "thinking_delta" : "text_delta", member, text));
		break;
	case PROVIDER_OLLAMA:
		member = reasoning ? "thinking" : "content";
		say_json(c, json_pack("{s:s, s:{s:s, s:s?}, s:b}", "model",
		    c->model, "message", "role", "assistant", member, text,
		    "done", 0));
		break;
	}
}

static void
openai_call(struct conn *c, json_t *call)
{
	say_json(c, chunk(c, json_pack("[{s:i, s:{s:[o]}, s:n}]", "index", 0,
	    "delta", "tool_calls", call, "finish_reason"), NULL));
}

static void
anthropic_input(struct conn *c, const char *part)
{
	say_json(c, json_pack("{s:s, s:i, s:{s:s, s:s}}", "type",
	    "content_block_delta", "index", 1, "delta", "type",
	    "input_json_delta", "partial_json", part));
}

void
wire_call(struct conn *c, const char *name, const char *args)
{
	char first[2] = { args[0], '\0' };

	switch (c->wire) {
	case PROVIDER_OPENAI:
		openai_call(c, json_pack("{s:i, s:s, s:s, s:{s:s, s:s}}",
		    "index", 0, "id", "call_standin", "type", "function",
		    "function", "name", name, "arguments", first));
		openai_call(c, json_pack("{s:i, s:{s:s}}", "index", 0,
		    "function", "arguments", args + 1));
		break;
	case PROVIDER_ANTHROPIC:
		say_json(c, json_pack("{s:s, s:i, s:{s:s, s:s, s:s, s:{}}}",
		    "type", "content_block_start", "index", 1, "content_block",
		    "type", "tool_use", "id", "toolu_standin", "name", name,
		    "input"));
		anthropic_input(c, first);
		anthropic_input(c, args + 1);
		break;
	case PROVIDER_OLLAMA:
		say_json(c, json_pack("{s:s, s:{s:s, s:s, s:[{s:{s:s, s:o}}]}, "
		    "s:b}", "model", c->model, "message", "role", "assistant",
		    "content", "", "tool_calls", "function", "name", name,
		    "arguments", json_loads(args, 0, NULL), "done", 0));
		break;
	}
}

void
wire_finish(struct conn *c, const char *reason, int prompt, int completion)
{
	if (c->wire == PROVIDER_OPENAI)
		openai_end(c, reason, prompt, completion);
	else if (c->wire == PROVIDER_ANTHROPIC)
		anthropic_end(c, reason, completion);
	else	/* which has no reason of its own for calls of tools */
		say_json(c, ollama_end(c, "", strcmp(reason, "tool_calls") ==
		    0 ? "stop" : reason, prompt, completion));
	wire_close(c);
}

void
wire_whole(struct conn *c, const char *text)
{
	json_t *v;
	char *s;

	if (c->wire == PROVIDER_OPENAI)
		v = json_pack("{s:s, s:s, s:s, s:[{s:i, s:{s:s, s:s}, s:s}],"
		    "s:o}", "id", "chatcmpl-standin", "object",
		    "chat.completion", "model", c->model, "choices", "index", 0,
		    "message", "role", "assistant", "content", text,
		    "finish_reason", "stop", "usage", counts((int)c->nmsgs, 1));
	else if (c->wire == PROVIDER_ANTHROPIC)
		v = json_pack("{s:s, s:s, s:[{s:s, s:s}], s:s, s:{s:i, s:i}}",
		    "type", "message", "role", "assistant", "content", "type",
		    "text", "text", text, "stop_reason", "end_turn", "usage",
		    "input_tokens", (int)c->nmsgs, "output_tokens", 1);
	else
		v = ollama_end(c, text, "stop", (int)c->nmsgs, 1);
	if ((s = json_dumps(v, JSON_COMPACT)) == NULL)
		fatalx("json");
	answer_plain(c, 200, "", s);
	free(s);
	json_decref(v);
}

void
wire_error(struct conn *c, const char *type, const char *message)
{
	if (c->wire == PROVIDER_OPENAI)
		say_json(c, json_pack("{s:{s:s, s:s, s:i}}", "error", "message",
		    message, "type", type, "code", 500));
	else if (c->wire == PROVIDER_ANTHROPIC)
		say_json(c, json_pack("{s:s, s:{s:s, s:s}}", "type", "error",
		    "error", "type", type, "message", message));
	else
		say_json(c, json_pack("{s:s}", "error", message));
	wire_close(c);
}
