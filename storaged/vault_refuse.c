/*
 * Conversations whose head is not the one that H counts: somebody changed, put
 * back or removed it.  They are in the table as others are, so that nobody else
 * takes their place, but nothing of them is believed or shown.  H goes on to count
 * what it counted: whoever restores the records has the conversation back at the
 * next start.  They can be deleted.
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "vault.h"

void
conv_refuse(struct vault *v, struct conv *c, const uint8_t e[REC_HASH])
{
	if ((c->refused = malloc(REC_HASH)) == NULL)
		fatal("malloc");
	memcpy(c->refused, e, REC_HASH);
	v->nrefused++;
	if (c->version > 0)
		return;
	c->version = 1;		/* of whatever is not there */
	c->user = user_by_uid(v, c->uid);
	conv_insert(v, c);
}

bool
conv_refused(struct conv *c, uint64_t n)
{
	if (c->refused == NULL)
		return false;
	tamper(c, n, "it is refused, because its head was changed");
	return true;
}

void
conv_account(const struct vault *v, const struct conv *c, struct rec_mset *h,
    const struct rec_head *head)
{
	const struct seal_bundle *b = &v->keys->bundle;
	struct rec_key key = rec_key_head(c->uid, c->id);
	const uint8_t *x = key.p + 1;		/* uid, conversation */
	uint8_t e[REC_HASH];
	struct rec_head old;

	if (c->refused != NULL)
		memcpy(e, c->refused, sizeof(e));
	else if (c->version > 0) {
		conv_head(c, &old);
		mset_element(e, b, rec_bytes(&key), c->version, &old);
	}
	if (c->version > 0) {
		mset_sub_element(h->mset, e);
		locate_sub(&h->heads, x, e);
	}
	if (head != NULL) {
		mset_element(e, b, rec_bytes(&key), c->version + 1, head);
		mset_add_element(h->mset, e);
		locate_add(&h->heads, x, e);
	}
}
