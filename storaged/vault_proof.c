/*
 * Signed messages (docs/protocol.md, Signed conversations): the vault stores no
 * signature that would not verify, so that who exports a conversation can rely
 * on what was taken.
 */
#include <string.h>

#include "log.h"
#include "vault.h"

uint16_t
proof_check(const struct worker *w, struct bytes proof, struct bytes text,
    uint64_t *number)
{
	const struct vault *v = w->v;
	struct rec_key key = rec_key_key(&v->keys->bundle, w->fp);
	const struct enrolled *e = enrolled_find(v, rec_bytes(&key));
	uint8_t digest[HASH_LEN], hash[HASH_LEN];
	const char *why = NULL;
	struct proof_user p;

	if (proof_user_decode(&p, proof) != 0)
		return ERR_BAD;
	sha256(hash, p.spki);
	proof_digest(digest, p.salt, text);
	if (e == NULL || e->state != REC_KEY_ACTIVE ||
	    memcmp(hash, e->message, sizeof(hash)) != 0)
		why = "not the enrolled message key";
	else if (!w->ready || memcmp(p.session_id, w->session_id,
	    sizeof(p.session_id)) != 0)
		why = "of another session";
	else if (memcmp(p.server, v->host_hash, sizeof(p.server)) != 0)
		why = "for another server";
	else if (memcmp(p.client, w->fp, sizeof(p.client)) != 0)
		why = "of another client";
	else if (proof_user_verify(&p, digest) != 0)
		why = "it does not verify";
	if (why != NULL) {
		log_info("session [%llu] of %s: a signature is refused: %s",
		    (unsigned long long)w->n, w->user->name, why);
		return ERR_SIGNATURE;
	}
	*number = p.number;
	return 0;
}
