#include "llmproxy.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void
judge_hint(const struct request *r, enum err code, char dst[LLM_HINT_MAX + 1])
{
	const char *provider = r->lp->up.name;
	int n = 0;

	dst[0] = '\0';
	switch (code) {
	case ERR_NO_MODEL:
		n = snprintf(dst, LLM_HINT_MAX + 1, "the administrator must check "
		    "the name of model %s at provider %s", r->grant->model->alias,
		    provider);
		break;
	case ERR_UPSTREAM_KEY:
		n = snprintf(dst, LLM_HINT_MAX + 1, "the administrator must check "
		    "the API key of provider %s", provider);
		break;
	case ERR_QUOTA:
		n = snprintf(dst, LLM_HINT_MAX + 1, "the administrator must look "
		    "after the account at provider %s", provider);
		break;
	case ERR_UPSTREAM:
		n = snprintf(dst, LLM_HINT_MAX + 1, "try again; if that does not "
		    "help, the administrator must look after provider %s",
		    provider);
		break;
	case ERR_CONTEXT:
		n = snprintf(dst, LLM_HINT_MAX + 1, "start a new conversation, or "
		    "send a shorter text");
		break;
	case ERR_OVERLOADED:
		n = snprintf(dst, LLM_HINT_MAX + 1, "try again in a moment");
		break;
	case ERR_TRUNCATED:
		n = snprintf(dst, LLM_HINT_MAX + 1, "ask again, or ask for the "
		    "rest");
		break;
	case ERR_LIMIT:
		n = snprintf(dst, LLM_HINT_MAX + 1, "wait for other answers, or "
		    "start a new conversation");
		break;
	default:
		break;
	}
	if (n < 0)
		dst[0] = '\0';
}

static enum err
code_of(enum wire_class cls)
{
	switch (cls) {
	case WIRE_E_AUTH:
		return ERR_UPSTREAM_KEY;
	case WIRE_E_NOTFOUND:
		return ERR_NO_MODEL;
	case WIRE_E_CONTEXT:
		return ERR_CONTEXT;
	case WIRE_E_RATE:
	case WIRE_E_OVERLOADED:
		return ERR_OVERLOADED;
	case WIRE_E_QUOTA:
		return ERR_QUOTA;
	case WIRE_E_NONE:
	case WIRE_E_REQUEST:
	case WIRE_E_SERVER:
	case WIRE_E_PROTOCOL:
		break;
	}
	return ERR_UPSTREAM;
}

static const char *
header(struct request *r, const char *name)
{
	struct curl_header *h;

	if (r->easy == NULL || curl_easy_header(r->easy, name, 0, CURLH_HEADER,
	    -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

/* The provider says what is wrong; it may quote the key that it refuses. */
static void
judge_error(struct request *r, struct wire_error *e, struct outcome *o)
{
	int n;

	wire_error_redact(e, r->lp->up.key);
	o->log = wire_class_name(e->cls);
	o->code = code_of(e->cls);
	o->retry = e->retry;
	o->retry_after_ms = wire_retry_after(header(r, "retry-after-ms"),
	    header(r, "retry-after"), time(NULL));
	if (e->cls == WIRE_E_CONTEXT && e->prompt_tokens >= 0 &&
	    e->context_tokens >= 0)
		n = snprintf(o->text, sizeof(o->text), "%s (%ld tokens, the "
		    "model takes %ld)", e->message, e->prompt_tokens,
		    e->context_tokens);
	else
		n = snprintf(o->text, sizeof(o->text), "%s", e->message);
	if (n < 0)
		o->text[0] = '\0';
}

/* An answer with status 200, as far as it came. */
static void
judge_answer(struct request *r, CURLcode rc, const char *text,
    struct outcome *o)
{
	static const enum finish finishes[] = {
		[WIRE_F_NONE] = FINISH_STOP,
		[WIRE_F_STOP] = FINISH_STOP,
		[WIRE_F_LENGTH] = FINISH_LENGTH,
		[WIRE_F_TOOL_CALLS] = FINISH_TOOL_CALLS,
		[WIRE_F_CONTENT_FILTER] = FINISH_FILTER,
		[WIRE_F_FUNCTION_CALL] = FINISH_TOOL_CALLS,
	};

	switch (wire_end(&r->answer)) {
	case WIRE_COMPLETE:
		o->finish = finishes[r->answer.finish];
		return;
	case WIRE_FAILED:
		judge_error(r, &r->answer.error, o);
		return;
	case WIRE_TRUNCATED:
		break;
	}
	o->retry = rc != CURLE_OPERATION_TIMEDOUT;
	o->code = ERR_UPSTREAM;
	if (r->answer.delivered) {
		o->code = ERR_TRUNCATED;
		o->finish = FINISH_TRUNCATED;
	}
	(void)snprintf(o->text, sizeof(o->text), "the answer is not complete: "
	    "%s", rc == CURLE_OK ? "the model's server ended without saying so" :
	    text);
}

static bool
is_certificate_error(CURLcode rc)
{
	return rc == CURLE_PEER_FAILED_VERIFICATION ||
	    rc == CURLE_SSL_ISSUER_ERROR || rc == CURLE_SSL_CACERT_BADFILE;
}

void
judge(struct request *r, CURLcode rc, const char *text, struct outcome *o)
{
	struct wire_error e;
	long status = 0;

	if (r->easy != NULL && curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE,
	    &status) != CURLE_OK)
		status = 0;
	if (status == 200) {
		judge_answer(r, rc, text, o);
	} else if (status >= 300 && status <= 399) {
		o->code = ERR_UPSTREAM;
		(void)strlcpy(o->text, "the provider answered a redirect, which "
		    "is never followed", sizeof(o->text));
	} else if (status > 200) {
		wire_error_body(&e, (int)status, buf_bytes(&r->error_body));
		judge_error(r, &e, o);
	} else {
		o->code = ERR_UPSTREAM;
		o->retry = rc != CURLE_OPERATION_TIMEDOUT &&
		    !is_certificate_error(rc);
		(void)snprintf(o->text, sizeof(o->text), "the model's server "
		    "cannot be reached: %s", text);
	}
}
