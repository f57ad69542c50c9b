/* hasher: see hasher.h.  Here is only how it is wired. */
#include "hasher.h"

#include <string.h>

#include "log.h"
#include "role.h"
#include "warmup.h"

static struct role self;
static struct hasher hasher;

/* Whatever is loaded on first use is loaded before the sandbox. */
static void
prepare(struct role *r)
{
	const uint8_t salt[16] = { 0 };
	uint8_t sealed[PASSWORD_SEALED], plain[PASSWORD_PLAIN], hash[HASH_LEN];
	uint8_t info[PASSWORD_INFO] = { 0 };
	const struct bytes word = bytes_str("warm"), none = { NULL, 0 };
	struct bytes pw, fresh;

	crypto_warmup();
	hasher_init(&hasher, r->generation);
	if (password_seal(sealed, hasher.seal, info, word, none) == -1 ||
	    password_open(plain, hasher.key, hasher.seal,
	    bytes_of(info, sizeof(info)), bytes_of(sealed, sizeof(sealed)), &pw,
	    &fresh) == -1 || !bytes_eq(pw, word) || fresh.n != 0 ||
	    hasher_argon2(hash, pw, salt, 64, 1) != HASHED_OK)
		fatalx("HPKE does not open what it sealed");
	hasher_free(&hasher);
}

static void
on_vault(struct chan *c, struct msg *m, void *arg)
{
	const char *why;

	/* What a predecessor was still asked is dropped until the welcome. */
	if ((why = hasher_request(&hasher, c, m)) != NULL)
		role_link_lost(c, why, arg);
	explicit_bzero(&m->u, sizeof(m->u));
}

static void
on_go(void)
{
	struct chan *c;

	hasher_init(&hasher, self.generation);
	c = role_link(&self, LINK_HASHER_VAULT, 0, HASHER_VAULT_UP, 0, on_vault,
	    role_link_lost, NULL);
	chan_drop_until(c, MSG_vh_welcome);
	hasher_hello(&hasher, c);
}

int
main(int argc, char **argv)
{
	role_start(&self, ROLE_HASHER, argc, argv, prepare);
	self.on_go = on_go;
	role_run(&self);
}
