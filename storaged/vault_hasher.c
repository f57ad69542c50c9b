/*
 * The hasher's link.  At most HASHER_DEPTH requests are with it, so that one
 * always waits for the other; the rest wait here, those of people who have shown
 * a key of theirs before those of strangers, in bounded queues.  Answers come in
 * the order of the requests.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "hasher.h"
#include "log.h"
#include "vault.h"

#define HASHER_DEPTH	2
#define HASHER_WAIT	64	/* waiting, of each kind */
#define ANSWER_MS	120000	/* to the oldest request */

static void
done(struct hash_job *j, enum hashed result, const uint8_t *hash)
{
	static const uint8_t none[HASH_LEN];

	j->done(j, result, hash != NULL ? hash : none);
}

static void
fail_all(struct hash_queue *q)
{
	struct hash_job *j;

	while ((j = STAILQ_FIRST(q)) != NULL) {
		STAILQ_REMOVE_HEAD(q, link);
		done(j, HASHED_GONE, NULL);
	}
}

/* No answer: what hangs cannot be trusted to be only slow. */
static void
on_late(void *arg)
{
	struct vault *v = arg;

	v->hash_timer = NULL;
	role_link_lost(v->hasher, "no answer", v);
	v->hasher_up = false;
}

static void
watch(struct vault *v)
{
	loop_timer_free(v->hash_timer);
	v->hash_timer = STAILQ_EMPTY(&v->hash_sent) ? NULL :
	    loop_timer_new(v->loop, ANSWER_MS, on_late, v);
}

/* Give the hasher what it can take. */
static void
feed(struct vault *v)
{
	struct hash_queue *from;
	struct hash_job *j;

	while (v->hasher_up && v->hash_nsent < HASHER_DEPTH) {
		from = STAILQ_EMPTY(&v->hash_wait[1]) ? &v->hash_wait[0] :
		    &v->hash_wait[1];
		if ((j = STAILQ_FIRST(from)) == NULL)
			break;
		STAILQ_REMOVE_HEAD(from, link);
		v->hash_nwait[from == &v->hash_wait[1]]--;
		STAILQ_INSERT_TAIL(&v->hash_sent, j, link);
		v->hash_nsent++;
		j->q.id = ++v->hash_id;
		if (chan_send(v->hasher, MSG_vh_hash, &j->q, -1) == -1)
			log_err("the hasher takes no more requests");
		if (v->hash_timer == NULL)
			watch(v);
	}
}

int
hash_ask(struct vault *v, struct hash_job *j, bool known)
{
	if (!v->hasher_up || v->hash_nwait[known] >= HASHER_WAIT)
		return -1;
	STAILQ_INSERT_TAIL(&v->hash_wait[known], j, link);
	v->hash_nwait[known]++;
	feed(v);
	return 0;
}

static const char *
on_hash(struct vault *v, const struct m_hv_hash *m)
{
	struct hash_job *j = STAILQ_FIRST(&v->hash_sent);

	if (j == NULL || m->id != j->q.id || (m->result > HASHED_MEMORY &&
	    (m->result < HASHED_WEAK || !j->q.fresh ||
	    password_fault_text((enum password_fault)(m->result -
	    HASHED_WEAK)) == NULL)))
		return "an answer to nothing that was asked";
	STAILQ_REMOVE_HEAD(&v->hash_sent, link);
	v->hash_nsent--;
	watch(v);
	if (m->result == HASHED_OK)
		v->hashes++;
	done(j, (enum hashed)m->result, m->hash);
	return NULL;
}

/*
 * A new hasher, a new key.  What was sealed to the key of another cannot be
 * opened any more; who asked is told to try again.
 */
static const char *
on_hello(struct vault *v, struct chan *c, const struct m_hv_hello *m)
{
	struct m_vh_welcome welcome = { .generation = m->generation };
	struct m_vk_seal seal;

	if (m->generation <= v->hasher_generation)
		return "a generation that does not rise";
	v->hasher_generation = m->generation;
	memcpy(v->seal, m->seal, sizeof(v->seal));
	memcpy(seal.seal, m->seal, sizeof(seal.seal));
	if (chan_send(v->keyd, MSG_vk_seal, &seal, -1) == -1 ||
	    chan_send(c, MSG_vh_welcome, &welcome, -1) == -1)
		log_err("keyd or the hasher is gone");
	v->hash_nsent = v->hash_nwait[0] = v->hash_nwait[1] = 0;
	v->hasher_up = false;	/* nothing is asked while these fail */
	fail_all(&v->hash_sent);
	fail_all(&v->hash_wait[0]);
	fail_all(&v->hash_wait[1]);
	v->hasher_up = true;
	watch(v);
	return NULL;
}

void
vault_on_hasher(struct chan *c, struct msg *m, void *arg)
{
	struct vault *v = arg;
	const char *why;

	why = m->type == MSG_hv_hello ? on_hello(v, c, &m->u.hv_hello) :
	    on_hash(v, &m->u.hv_hash);
	OPENSSL_cleanse(&m->u, sizeof(m->u));
	if (why != NULL) {
		v->hasher_up = false;
		role_link_lost(c, why, v);
		return;
	}
	feed(v);
}

void
vault_hasher_lost(struct chan *c, const char *why, void *arg)
{
	struct vault *v = arg;

	v->hasher_up = false;
	role_link_lost(c, why, arg);
}

int
vault_wait_hasher(struct vault *v, int timeout_ms)
{
	const char *why;
	struct msg m;

	if (chan_recv(v->hasher, &m, timeout_ms, &why) != 0 ||
	    m.type != MSG_hv_hello)
		return -1;
	vault_on_hasher(v->hasher, &m, v);
	return v->hasher_up ? 0 : -1;
}

void
hash_free(struct vault *v)
{
	v->hasher_up = false;
	loop_timer_free(v->hash_timer);
	v->hash_timer = NULL;
	fail_all(&v->hash_sent);
	fail_all(&v->hash_wait[0]);
	fail_all(&v->hash_wait[1]);
}
