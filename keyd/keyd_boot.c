#include "keyd.h"

#include <string.h>

#include <openssl/crypto.h>

#include "log.h"
#include "secret.h"

void
keyd_boot_init(struct keyd_boot *b, EVP_PKEY *wrap, bool init)
{
	memset(b, 0, sizeof(*b));
	b->wrap = wrap;
	b->init = init;
	b->reject = secret_alloc(HASH_LEN);
	crypto_random(b->reject, HASH_LEN);
}

void
keyd_boot_end(struct keyd_boot *b)
{
	EVP_PKEY_free(b->wrap);		/* wipes its private numbers */
	b->wrap = NULL;
	secret_free(b->reject, HASH_LEN);
	b->reject = NULL;
}

/* The label binds a share to its generation: SHA-256(text | be32 generation). */
static void
share_label(uint8_t label[HASH_LEN], uint32_t generation)
{
	uint8_t be[4];
	struct bytes part[2];

	put_be32(be, generation);
	part[0] = bytes_str("cl1 storage share");
	part[1] = bytes_of(be, sizeof(be));
	sha256v(label, part, 2);
}

/*
 * A failure cannot be told from a success here: the vault notices, because its
 * storage key then opens nothing.
 */
static const char *
unwrap(struct keyd_boot *b, struct chan *c, const struct m_boot_unwrap *q)
{
	struct m_boot_share reply;
	uint8_t label[HASH_LEN];

	if (b->init || b->wrap == NULL)
		return "an unwrap too many";
	memset(&reply, 0, sizeof(reply));
	share_label(label, q->key_generation);
	rsa_oaep_decrypt(reply.share, b->wrap, label, q->wrapped, b->reject);
	(void)chan_send(c, MSG_boot_share, &reply, -1);
	OPENSSL_cleanse(&reply, sizeof(reply));
	if (++b->unwraps == KEYD_UNWRAPS)
		keyd_boot_end(b);
	return NULL;
}

static const char *
tell_wrap_key(struct keyd_boot *b, struct chan *c)
{
	struct buf spki = BUF_INIT(RSA_SPKI_MAX);
	struct m_boot_wrap_key reply = { .none_ = 0 };

	if (b->wrap == NULL)
		return "the wrap key asked for after the start";
	if (rsa_spki_encode(&spki, b->wrap) == -1)
		fatalx("the wrap key cannot be encoded");
	reply.spki = buf_bytes(&spki);
	(void)chan_send(c, MSG_boot_wrap_key, &reply, -1);
	buf_free(&spki);
	return NULL;
}

const char *
keyd_boot_request(struct keyd_boot *b, struct chan *c, const struct msg *m)
{
	switch (m->type) {
	case MSG_boot_unwrap:
		return unwrap(b, c, &m->u.boot_unwrap);
	case MSG_boot_wrap:
		return tell_wrap_key(b, c);
	default:		/* boot_done: nothing else comes this way */
		keyd_boot_end(b);
		return NULL;
	}
}
