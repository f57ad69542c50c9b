#include "verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* A message that stands. */
struct past {
	uint8_t		 kind;
	struct bytes	 text;
};

/* A question that verified, for its answer's receipt. */
struct asked {
	uint64_t	 number;
	uint8_t		 session_id[HASH_LEN];
	uint8_t		 client[HASH_LEN];
	uint8_t		 signature[HASH_LEN];	/* its hash */
	uint8_t		 sent[HASH_LEN];	/* what the model was to get */
};

/* The last receipt of a session. */
struct session {
	uint8_t		 session_id[HASH_LEN];
	uint64_t	 number;
	uint8_t		 leaf[HASH_LEN];
};

/* Where the check is. */
struct walk {
	struct verify		*v;
	const struct transfer	*t;
	uint8_t			 conv[CONV_LEN];
	uint64_t		 number;	/* of the last message; 0: none */
	uint8_t			 link[HASH_LEN];	/* behind it */
	/* The same without the system prompts that stand last. */
	uint8_t			 talk[HASH_LEN];
	/* What a model gets with the next question. */
	struct past		*past;
	size_t			 npast;
	struct bytes		 system;
	bool			 withdrawn;	/* no question came since */
	struct asked		*asked;		/* one of each message */
	size_t			 nasked;
	struct session		*session;
	size_t			 nsessions;
	uint64_t		 good;		/* all up to it are as signed */
	bool			 broken;	/* not so since: it was said */
};

__attribute__((format(printf, 4, 5)))
static void
say(struct verify *v, bool bad, uint64_t number, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->problems += bad;
	v->say(v->arg, bad, number, text);
}

/* The next message does not stand where it was. */
static void
check_place(struct walk *w, uint64_t number)
{
	if (number == w->number + 1)
		return;
	w->broken = true;
	if (number <= w->number)
		say(w->v, true, number, "it stands behind message %ju: they were "
		    "reordered, or one is there twice", (uintmax_t)w->number);
	else if (number == w->number + 2)
		say(w->v, true, w->number + 1, "it was dropped");
	else
		say(w->v, true, w->number + 1, "this one and all before %ju "
		    "were dropped", (uintmax_t)number);
}

static bool
key_known(const struct verify *v, const uint8_t client[HASH_LEN],
    struct bytes spki)
{
	uint8_t hash[HASH_LEN];

	sha256(hash, spki);
	for (size_t i = 0; i < v->nkeys; i++)
		if (memcmp(v->keys[i].sign, client, HASH_LEN) == 0 &&
		    memcmp(v->keys[i].message, hash, HASH_LEN) == 0)
			return true;
	return false;
}

/* Whose signature it is; what it covers is checked elsewhere. */
static bool
check_keys(struct walk *w, uint64_t number, const uint8_t client[HASH_LEN],
    struct bytes spki, const uint8_t server[HASH_LEN])
{
	char fp[RSA_FP_TEXT];

	if (!key_known(w->v, client, spki)) {
		rsa_fingerprint_text(fp, client);
		say(w->v, true, number, "signed by the key %s, which is none "
		    "of those that you gave", fp);
		return false;
	}
	if (!w->v->server(w->v->arg, server)) {
		rsa_fingerprint_text(fp, server);
		say(w->v, true, number, "signed for the server %s, which is "
		    "not known here", fp);
		return false;
	}
	return true;
}

/* What was there when it was signed, against what is there. */
static void
check_before(struct walk *w, const struct proof_user *p, uint64_t number)
{
	static const uint8_t zeros[HASH_LEN];
	uint8_t first[HASH_LEN];
	bool fits;

	proof_link_begin(first, w->conv);
	fits = memcmp(p->previous, w->link, HASH_LEN) == 0 ||
	    memcmp(p->previous, w->talk, HASH_LEN) == 0 ||
	    (memcmp(p->previous, zeros, HASH_LEN) == 0 &&
	    memcmp(w->talk, first, HASH_LEN) == 0);
	if (!fits && !w->broken) {
		if (number == w->good + 1)
			say(w->v, true, number, "it was signed in another place "
			    "or conversation");
		else
			say(w->v, true, number, "what stands before it is not "
			    "what was there when it was signed: of messages %ju "
			    "to %ju something was changed, or this one is of "
			    "another conversation", (uintmax_t)w->good + 1,
			    (uintmax_t)number - 1);
	}
	w->broken = false;
	w->good = number;
	/* What follows is measured by what this one says. */
	if (!fits)
		memcpy(w->link, p->previous, HASH_LEN);
}

static void
check_question(struct walk *w, const struct proof_message *m)
{
	struct verify *v = w->v;
	uint8_t digest[HASH_LEN];
	struct proof_user p;
	struct asked *a;

	if (proof_user_decode(&p, m->proof) != 0) {
		say(v, true, m->number, "its signature is damaged");
		w->broken = true;
		return;
	}
	if (!check_keys(w, m->number, p.client, p.spki, p.server))
		return;
	proof_digest(digest, p.salt, m->text);
	if (proof_user_verify(&p, digest) != 0) {
		say(v, true, m->number, "its text is not what was signed, or "
		    "its signature was changed");
		w->broken = true;
		return;
	}
	if (p.number != m->number) {
		say(v, true, m->number, "it was signed as message %ju: it was "
		    "moved", (uintmax_t)p.number);
		w->broken = true;
		return;
	}
	check_before(w, &p, m->number);
	v->signatures++;
	a = &w->asked[w->nasked++];
	a->number = m->number;
	memcpy(a->session_id, p.session_id, HASH_LEN);
	memcpy(a->client, p.client, HASH_LEN);
	sha256(a->signature, p.sig);
	say(v, false, m->number, "signed by the user's key");
}

/* ---- answers ------------------------------------------------------------- */

/* A receipt against the one before it in its session, if that is here. */
static void
check_session(struct walk *w, const struct proof_receipt *r, uint64_t number)
{
	struct session *s = w->session;
	size_t i;

	for (i = 0; i < w->nsessions; i++, s++)
		if (memcmp(s->session_id, r->session_id, HASH_LEN) == 0)
			break;
	if (i == w->nsessions) {
		w->nsessions++;
		memcpy(s->session_id, r->session_id, HASH_LEN);
	} else if (r->number <= s->number || (r->number == s->number + 1 &&
	    memcmp(r->previous, s->leaf, HASH_LEN) != 0))
		say(w->v, true, number, "its receipt is number %ju of its "
		    "session and stands behind number %ju",
		    (uintmax_t)r->number, (uintmax_t)s->number);
	s->number = r->number;
	proof_receipt_leaf(s->leaf, r);
}

/* The question that it answers must be here, and be the one that was signed. */
static const struct asked *
find_question(const struct walk *w, const struct proof_receipt *r)
{
	for (size_t i = 0; i < w->nasked; i++)
		if (w->asked[i].number == r->question &&
		    memcmp(w->asked[i].signature, r->signature, HASH_LEN) == 0 &&
		    memcmp(w->asked[i].session_id, r->session_id,
		    HASH_LEN) == 0 &&
		    memcmp(w->asked[i].client, r->client, HASH_LEN) == 0)
			return &w->asked[i];
	return NULL;
}

/* What is wrong with the receipt of an answer, or NULL. */
static const char *
judge(const struct walk *w, const struct proof_message *m,
    const struct proof_receipt *r)
{
	const struct asked *a = find_question(w, r);
	uint8_t hash[HASH_LEN];

	if (!w->v->server(w->v->arg, r->server))
		return "its receipt is of a server that is not known here";
	if (proof_receipt_verify(r) != 0)
		return "its receipt was changed";
	if (memcmp(r->conv, w->conv, CONV_LEN) != 0)
		return "its receipt is of another conversation";
	sha256(hash, m->text);
	if (memcmp(hash, r->response, HASH_LEN) != 0)
		return "its text is not the answer that the receipt is for";
	if (m->finish != r->finish || !bytes_eq(m->model, r->model))
		return "its receipt says another model or another end";
	if (a == NULL)
		return "the question that its receipt is for is not here";
	if (memcmp(a->sent, r->sent, HASH_LEN) != 0)
		return "the model got other messages than those before its "
		    "question";
	return NULL;
}

static void
check_answer(struct walk *w, const struct proof_message *m)
{
	static const char *const ends[] = { "", "complete", "cut at the "
	    "model's limit", "cancelled", "truncated", "broken by an error",
	    "a call of a tool", "withheld by the provider" };
	struct verify *v = w->v;
	struct proof_receipt r;
	const char *why;

	if (proof_receipt_decode(&r, m->proof) != 0)
		why = "its receipt is damaged";
	else
		why = judge(w, m, &r);
	if (why != NULL) {
		say(v, true, m->number, "%s", why);
		w->broken = true;
		return;
	}
	check_session(w, &r, m->number);
	v->receipts++;
	v->incomplete += r.finish != FINISH_STOP;
	say(v, false, m->number, "receipt of the server: %s%s", ends[r.finish],
	    r.finish == FINISH_STOP ? "" : " (NOT COMPLETE)");
}

/* H(messages sent) of a question. */
static void
hash_sent(const struct walk *w, const struct proof_message *m,
    uint8_t sent[HASH_LEN])
{
	EVP_MD_CTX *h = EVP_MD_CTX_new();

	if (h == NULL || EVP_DigestInit_ex(h, sha256_md(), NULL) != 1)
		crypto_fatalx("SHA-256");
	if (w->system.n > 0)
		proof_sent(h, KIND_SYSTEM, w->system);
	for (size_t i = 0; i < w->npast; i++)
		proof_sent(h, w->past[i].kind, w->past[i].text);
	proof_sent(h, m->kind, m->text);
	if (EVP_DigestFinal_ex(h, sent, NULL) != 1)
		crypto_fatalx("SHA-256");
	EVP_MD_CTX_free(h);
}

/* The last question that stands is withdrawn, with what follows it. */
static void
withdraw(struct walk *w)
{
	size_t n = w->npast;

	w->withdrawn = true;
	while (n > 0 && w->past[n - 1].kind != KIND_USER)
		n--;
	if (n > 0)
		w->npast = n - 1;
}

/* What a model is sent is the conversation as the server reads it. */
static void
take_sent(struct walk *w, const struct proof_message *m)
{
	struct asked *a = w->nasked > 0 ? &w->asked[w->nasked - 1] : NULL;

	if (a != NULL && a->number == m->number)
		hash_sent(w, m, a->sent);
	if (m->kind == KIND_WITHDRAWN)
		withdraw(w);
	else if (m->kind == KIND_SYSTEM)
		w->system = m->text;
	else if (m->text.n > 0 && m->finish != FINISH_ERROR &&
	    (m->kind == KIND_USER || !w->withdrawn)) {
		w->withdrawn = false;
		w->past[w->npast++] = (struct past){ m->kind, m->text };
	}
}

/* ---- all of it ------------------------------------------------------------- */

static void
check_message(struct walk *w, size_t i)
{
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct proof_message p;
	struct m_c_import m;
	uint64_t number;

	transfer_message(w->t, i, &m);
	if (!transfer_number(w->t, i, "number", &number) || number == 0) {
		say(w->v, true, i + 1, "it has no number");
		w->broken = true;
		return;
	}
	check_place(w, number);
	if (!transfer_bytes(w->t, i, "proof", &proof)) {
		say(w->v, true, number, "its signature is damaged");
		w->broken = true;
		buf_reset(&proof);
	}
	p = (struct proof_message){ .number = number, .kind = m.kind,
	    .finish = m.finish, .time_us = m.time_us,
	    .prompt_tokens = m.prompt_tokens,
	    .completion_tokens = m.completion_tokens, .model = m.model,
	    .text = m.text, .proof = buf_bytes(&proof) };
	if (m.kind == KIND_USER && proof.n > 0)
		check_question(w, &p);
	else if (m.kind == KIND_ASSISTANT && proof.n > 0)
		check_answer(w, &p);
	else if (proof.n > 0) {
		say(w->v, true, number, "a signature that is not of its kind");
		w->broken = true;
	} else
		say(w->v, false, number, "not signed");
	take_sent(w, &p);
	proof_link_next(w->link, &p);
	if (m.kind != KIND_SYSTEM)
		memcpy(w->talk, w->link, sizeof(w->talk));
	w->number = number;
	buf_free(&proof);
}

/* Exactly n bytes of the signed end. */
static bool
take(const struct transfer *t, const char *name, uint8_t *out, size_t n)
{
	struct buf b = BUF_INIT(HASH_LEN);
	bool ok;

	ok = transfer_bytes(t, TRANSFER_HEAD, name, &b) && b.n == n;
	if (ok)
		memcpy(out, b.p, n);
	buf_free(&b);
	return ok;
}

/* Who exported it says what it had. */
static void
check_end(struct walk *w, struct proof_export *e)
{
	struct verify *v = w->v;

	if (!check_keys(w, 0, e->client, e->spki, e->server))
		return;
	if (proof_export_verify(e) != 0) {
		say(v, true, 0, "what its exporter signed of it was changed");
		return;
	}
	if (e->count != w->number)
		say(v, true, 0, "it was exported with %ju messages and ends "
		    "with number %ju", (uintmax_t)e->count,
		    (uintmax_t)w->number);
	else if (memcmp(e->last, w->link, HASH_LEN) != 0) {
		if (!w->broken)
			say(v, true, 0, "of messages %ju to %ju something is "
			    "not as it was exported", (uintmax_t)w->good + 1,
			    (uintmax_t)w->number);
	} else if (v->problems == 0)
		say(v, false, 0, "whole, as it was exported");
}

void
verify_run(struct verify *v, const struct transfer *t)
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct walk w = { .v = v, .t = t };
	struct proof_export e;

	memset(&e, 0, sizeof(e));
	v->problems = v->signatures = v->receipts = v->incomplete = 0;
	w.asked = calloc(transfer_count(t), sizeof(*w.asked));
	w.session = calloc(transfer_count(t), sizeof(*w.session));
	w.past = calloc(transfer_count(t), sizeof(*w.past));
	if (w.asked == NULL || w.session == NULL || w.past == NULL)
		fatal("memory");
	if (!take(t, "conversation", e.conv, sizeof(e.conv)) ||
	    !take(t, "server", e.server, sizeof(e.server)) ||
	    !take(t, "client", e.client, sizeof(e.client)) ||
	    !take(t, "last", e.last, sizeof(e.last)) ||
	    !transfer_number(t, TRANSFER_HEAD, "count", &e.count) ||
	    !transfer_number(t, TRANSFER_HEAD, "time_us", &e.time_us) ||
	    !transfer_bytes(t, TRANSFER_HEAD, "key", &spki) ||
	    !transfer_bytes(t, TRANSFER_HEAD, "signature", &sig) ||
	    spki.n == 0 || sig.n == 0) {
		say(v, true, 0, "it was not exported with --signed, or its end "
		    "is missing: what was dropped there would not show");
		goto out;
	}
	e.spki = buf_bytes(&spki);
	e.sig = buf_bytes(&sig);
	memcpy(w.conv, e.conv, sizeof(w.conv));
	proof_link_begin(w.link, w.conv);
	memcpy(w.talk, w.link, sizeof(w.talk));
	for (size_t i = 0; i < transfer_count(t); i++)
		check_message(&w, i);
	check_end(&w, &e);
out:
	free(w.past);
	free(w.asked);
	free(w.session);
	buf_free(&spki);
	buf_free(&sig);
}
