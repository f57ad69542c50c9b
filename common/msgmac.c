#include "msgmac.h"

#include <string.h>

#include <openssl/crypto.h>

void
msgmac_init(struct msgmac *m, const uint8_t key[HASH_LEN],
    enum msgmac_direction direction)
{
	memset(m, 0, sizeof(*m));
	memcpy(m->key, key, sizeof(m->key));
	m->direction = (uint8_t)direction;
}

static void
compute(uint8_t out[HASH_LEN], const struct msgmac *m, struct bytes body)
{
	uint8_t head[1 + 8], hash[HASH_LEN];
	const struct bytes part[] = {
		{ head, sizeof(head) }, { m->mac, HASH_LEN }, { hash, HASH_LEN }
	};

	head[0] = m->direction;
	put_be64(head + 1, m->i + 1);
	sha256(hash, body);
	hmac_sha256v(out, bytes_of(m->key, HASH_LEN), part, 3);
}

void
msgmac_next(struct msgmac *m, struct bytes body)
{
	uint8_t mac[HASH_LEN];

	compute(mac, m, body);
	memcpy(m->mac, mac, sizeof(m->mac));
	m->i++;
}

int
msgmac_check(struct msgmac *m, struct bytes body, const uint8_t mac[HASH_LEN])
{
	uint8_t want[HASH_LEN];

	compute(want, m, body);
	if (!bytes_eq_ct(want, mac, HASH_LEN))
		return -1;
	memcpy(m->mac, want, sizeof(m->mac));
	m->i++;
	return 0;
}

void
msgmac_free(struct msgmac *m)
{
	OPENSSL_cleanse(m, sizeof(*m));
}
