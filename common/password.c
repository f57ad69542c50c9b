#include "password.h"

#include <ctype.h>
#include <string.h>

#include <openssl/crypto.h>

/*
 * Long enough for the rule and still among the first that anybody tries.  Lower
 * case; what follows such a word may be digits and signs alone.
 */
static const char *const known[] = {
	"passwordpassword", "password", "passphrase", "passwort", "motdepasse",
	"contrasena", "correcthorsebatterystaple", "qwertyuiop",
	"qwertyuiopasdfghjkl", "qwertyqwerty", "asdfghjkl", "asdfghjklzxcvbnm",
	"zxcvbnm", "iloveyou", "iloveyouiloveyou", "letmein", "letmeinletmein",
	"administrator", "adminadmin", "adminadminadmin", "changeme",
	"changemechangeme", "trustnoone", "trustno", "welcome", "welcomewelcome",
	"football", "baseball", "superman", "princess", "sunshine", "cloister",
	"cloistercloister", "opensesame", "thisisapassword", "mypassword",
	"secretsecret", "topsecret", "supersecret", "qazwsxedcrfv", "qweasdzxc",
	"passworduser", "defaultpassword", "testtesttest", "abcabcabcabc"
};

static size_t
characters(struct bytes s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

static int
lower(uint8_t c)
{
	return c < 0x80 ? tolower(c) : c;
}

/* Its characters, what is the user's name in it left out. */
static size_t
characters_besides(struct bytes pw, struct bytes user)
{
	size_t n = 0, i = 0, j;

	while (i < pw.n) {
		for (j = 0; j < user.n && i + j < pw.n &&
		    lower(pw.p[i + j]) == lower(user.p[j]); j++)
			;
		if (user.n >= 3 && j == user.n)
			i += j;
		else
			n += (pw.p[i++] & 0xc0) != 0x80;
	}
	return n;
}

/* A piece again and again. */
static bool
repeats(struct bytes pw, struct bytes s)
{
	if (s.n == 0 || pw.n < s.n)
		return false;
	for (size_t i = 0; i < pw.n; i++)
		if (lower(pw.p[i]) != lower(s.p[i % s.n]))
			return false;
	return true;
}

/* Few different characters, a short piece repeated, or a run. */
static bool
plainly(struct bytes pw)
{
	bool seen[256] = { false };
	size_t different = 0, steps = 0;
	int d;

	for (size_t i = 0; i < pw.n; i++) {
		different += !seen[pw.p[i]];
		seen[pw.p[i]] = true;
		if (i == 0)
			continue;
		/* 9 is followed by 0 on a keyboard. */
		d = lower(pw.p[i]) - lower(pw.p[i - 1]);
		steps += d == 1 || d == -1 || d == 0 || d == '0' - '9' ||
		    d == '9' - '0';
	}
	return different < 5 || steps + 3 >= pw.n ||
	    repeats(pw, bytes_of(pw.p, pw.n < 4 ? pw.n : 4));
}

static bool
is_known(struct bytes pw)
{
	size_t j, n;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		n = strlen(known[i]);
		for (j = 0; j < n && j < pw.n &&
		    lower(pw.p[j]) == known[i][j]; j++)
			;
		if (j != n)
			continue;
		for (; j < pw.n && pw.p[j] < 0x80 && !isalpha(pw.p[j]); j++)
			;
		if (j == pw.n)
			return true;
	}
	return false;
}

enum password_fault
password_judge(struct bytes pw, struct bytes user)
{
	if (!bytes_utf8(pw))
		return PASSWORD_TEXT;
	if (characters(pw) < PASSWORD_MIN)
		return PASSWORD_SHORT;
	if (pw.n > PASSWORD_MAX)
		return PASSWORD_LONG;
	if (characters_besides(pw, user) < PASSWORD_MIN)
		return PASSWORD_NAME;
	if (plainly(pw))
		return PASSWORD_PLAINLY;
	return is_known(pw) ? PASSWORD_KNOWN : PASSWORD_GOOD;
}

const char *
password_fault_text(enum password_fault f)
{
	static const char *const texts[PASSWORD_FAULTS] = {
		[PASSWORD_SHORT] = "it has fewer than 12 characters",
		[PASSWORD_LONG] = "it has more than 127 bytes",
		[PASSWORD_TEXT] = "it is not text in UTF-8",
		[PASSWORD_NAME] = "without the user's name it has fewer than 12 characters",
		[PASSWORD_PLAINLY] = "it repeats itself, or is a run",
		[PASSWORD_KNOWN] = "it is a well-known one"
	};

	return (unsigned)f < PASSWORD_FAULTS ? texts[f] : NULL;
}

void
password_info(uint8_t info[PASSWORD_INFO], enum password_use use,
    const uint8_t bind[HASH_LEN], const uint8_t exported[HASH_LEN],
    const uint8_t what[HASH_LEN])
{
	static const char context[] = "cl1 password";	/* and its NUL */
	uint8_t *p = info;

	_Static_assert(sizeof(context) + 1 + 3 * HASH_LEN == PASSWORD_INFO,
	    "length of info");
	memcpy(p, context, sizeof(context));
	p += sizeof(context);
	*p++ = (uint8_t)use;
	memcpy(p, bind, HASH_LEN);
	memcpy(p + HASH_LEN, exported, HASH_LEN);
	memcpy(p + 2 * HASH_LEN, what, HASH_LEN);
}

void
password_export(uint8_t out[HASH_LEN], const uint8_t exporter[HASH_LEN])
{
	const struct bytes none = { NULL, 0 };

	kdf_xl(out, HASH_LEN, exporter, "password", none);
}

void
password_what(uint8_t out[HASH_LEN], struct bytes user, struct bytes label,
    struct bytes message_spki)
{
	uint8_t len[3][2];
	const struct bytes in[] = {
		{ len[0], 2 }, user, { len[1], 2 }, label, { len[2], 2 },
		message_spki
	};

	put_be16(len[0], (uint16_t)user.n);
	put_be16(len[1], (uint16_t)label.n);
	put_be16(len[2], (uint16_t)message_spki.n);
	sha256v(out, in, sizeof(in) / sizeof(in[0]));
}

int
password_seal(uint8_t sealed[PASSWORD_SEALED], const uint8_t pub[HPKE_KEY],
    const uint8_t info[PASSWORD_INFO], struct bytes pw, struct bytes new_pw)
{
	uint8_t plain[PASSWORD_PLAIN] = { 0 };
	const struct bytes none = { NULL, 0 };
	int rv;

	if (pw.n > PASSWORD_MAX || new_pw.n > PASSWORD_MAX)
		return -1;
	plain[0] = (uint8_t)pw.n;
	if (pw.n > 0)
		memcpy(plain + 1, pw.p, pw.n);
	plain[1 + pw.n] = (uint8_t)new_pw.n;
	if (new_pw.n > 0)
		memcpy(plain + 2 + pw.n, new_pw.p, new_pw.n);
	rv = hpke_seal(sealed, pub, bytes_of(info, PASSWORD_INFO), none,
	    bytes_of(plain, sizeof(plain)), NULL);
	OPENSSL_cleanse(plain, sizeof(plain));
	return rv;
}

int
password_open(uint8_t plain[PASSWORD_PLAIN], EVP_PKEY *key,
    const uint8_t pub[HPKE_KEY], struct bytes info, struct bytes sealed,
    struct bytes *pw, struct bytes *new_pw)
{
	const struct bytes none = { NULL, 0 };
	uint8_t rest = 0;
	struct rd r;

	if (sealed.n != PASSWORD_SEALED ||
	    hpke_open(plain, key, pub, info, none, sealed) == -1)
		return -1;
	r = rd_of(bytes_of(plain, PASSWORD_PLAIN));
	*pw = rd_bytes(&r, rd_u8(&r));
	*new_pw = rd_bytes(&r, rd_u8(&r));
	for (size_t i = 0; i < r.n; i++)
		rest |= r.p[i];
	if (!r.err && rest == 0 && pw->n <= PASSWORD_MAX &&
	    new_pw->n <= PASSWORD_MAX)
		return 0;
	OPENSSL_cleanse(plain, PASSWORD_PLAIN);
	return -1;
}

void
invite_proof(uint8_t out[HASH_LEN], const uint8_t secret[INVITE_SECRET],
    const uint8_t bind[HASH_LEN], const uint8_t what[HASH_LEN])
{
	const struct bytes in[] = {
		bytes_of("cl1 invite", sizeof("cl1 invite")),
		{ bind, HASH_LEN }, { what, HASH_LEN }
	};

	hmac_sha256v(out, bytes_of(secret, INVITE_SECRET), in, 3);
}
