#include "hasher.h"

#include <string.h>

#include <argon2.h>
#include <openssl/crypto.h>

#include "codes.h"
#include "log.h"

#define SALT_LEN	16
#define LANES		1	/* and so no thread: this cell has none */

void
hasher_init(struct hasher *h, uint32_t generation)
{
	memset(h, 0, sizeof(*h));
	h->key = hpke_keygen(NULL, h->seal);
	h->generation = generation;
}

void
hasher_free(struct hasher *h)
{
	EVP_PKEY_free(h->key);
	memset(h, 0, sizeof(*h));
}

void
hasher_hello(const struct hasher *h, struct chan *vault)
{
	struct m_hv_hello m = { .generation = h->generation };

	memcpy(m.seal, h->seal, sizeof(m.seal));
	if (chan_send(vault, MSG_hv_hello, &m, -1) == -1)
		log_err("the vault is gone");
}

enum hashed
hasher_argon2(uint8_t hash[HASH_LEN], struct bytes pw,
    const uint8_t salt[SALT_LEN], uint32_t memory_kib, uint32_t passes)
{
	int r = argon2id_hash_raw(passes, memory_kib, LANES, pw.p, pw.n, salt,
	    SALT_LEN, hash, HASH_LEN);

	if (r == ARGON2_OK)
		return HASHED_OK;
	if (r != ARGON2_MEMORY_ALLOCATION_ERROR)
		fatalx("Argon2id: %s", argon2_error_message(r));
	memset(hash, 0, HASH_LEN);
	return HASHED_MEMORY;
}

/* Open, judge, hash, forget. */
static enum hashed
work(struct hasher *h, const struct m_vh_hash *q, uint8_t hash[HASH_LEN])
{
	uint8_t plain[PASSWORD_PLAIN];
	enum password_fault fault;
	struct bytes pw, fresh;
	enum hashed r;

	if (password_open(plain, h->key, h->seal,
	    bytes_of(q->info, sizeof(q->info)),
	    bytes_of(q->sealed, sizeof(q->sealed)), &pw, &fresh) == -1)
		return HASHED_SEALED;
	fault = q->fresh ? password_judge(fresh, q->user) : PASSWORD_GOOD;
	if (fault != PASSWORD_GOOD)
		r = (enum hashed)(HASHED_WEAK + fault);
	else
		r = hasher_argon2(hash, q->fresh ? fresh : pw, q->salt,
		    q->memory_kib, q->passes);
	OPENSSL_cleanse(plain, sizeof(plain));
	return r;
}

const char *
hasher_request(struct hasher *h, struct chan *c, const struct msg *m)
{
	const struct m_vh_hash *q = &m->u.vh_hash;
	struct m_hv_hash reply;

	if (m->type == MSG_vh_welcome) {
		if (h->welcome || m->u.vh_welcome.generation != h->generation)
			return "a welcome to another hasher";
		h->welcome = true;
		return NULL;
	}
	if (!h->welcome)
		return "a request without a welcome";
	if (q->id <= h->last_id || q->fresh > 1 ||
	    q->memory_kib < ARGON2_MEMORY_MIN ||
	    q->memory_kib > ARGON2_MEMORY_MAX || q->passes < 1 ||
	    q->passes > ARGON2_PASSES_MAX)
		return "a request out of order or out of bounds";
	memset(&reply, 0, sizeof(reply));
	reply.id = h->last_id = q->id;
	reply.result = (uint8_t)work(h, q, reply.hash);
	(void)chan_send(c, MSG_hv_hash, &reply, -1);
	OPENSSL_cleanse(&reply, sizeof(reply));
	return NULL;
}
