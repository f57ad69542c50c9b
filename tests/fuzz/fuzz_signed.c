/*
 * Signed exports: the file that verify reads (any bytes, and a good one that is
 * changed), and proofs.  Nothing that was changed verifies.
 */
#include "fuzz.h"

#include "../client/verify.h"
#include "kdf.h"

#define MESSAGES	4

static EVP_PKEY *key;
static struct buf spki = BUF_INIT(RSA_SPKI_MAX);
static struct verify_key own;
static EVP_MD_CTX *sent;
static uint8_t last_signature[HASH_LEN], last_leaf[HASH_LEN];
static char good[65536];
static size_t good_n;

static void
sign(struct buf *sig, struct buf *tbs)
{
	need(!tbs->err && rsa_pss_sign(sig, key, buf_bytes(tbs)) == 0);
	buf_free(tbs);
}

__attribute__((format(printf, 1, 2)))
static void
add(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(good + good_n, sizeof(good) - good_n, fmt, ap);
	va_end(ap);
	need(n >= 0 && (size_t)n < sizeof(good) - good_n);
	good_n += (size_t)n;
}

static void
add_hex(const char *name, struct bytes b)
{
	static char hex[2 * PROOF_MAX + 1];

	hex_encode(hex, b.p, b.n);
	add("\"%s\": \"%s\"", name, hex);
}

/* The server's word on an answer; its key is the user's, here. */
static void
add_receipt(struct buf *out, const struct proof_message *m)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct proof_receipt r = { .number = m->number / 2,
	    .question = m->number - 1, .model = m->model,
	    .finish = m->finish, .time_us = 8, .spki = buf_bytes(&spki) };
	struct proof_receipt *all[1] = { &r };
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	uint8_t root[HASH_LEN];

	need(copy != NULL && EVP_MD_CTX_copy_ex(copy, sent) == 1 &&
	    EVP_DigestFinal_ex(copy, r.sent, NULL) == 1);
	EVP_MD_CTX_free(copy);
	memcpy(r.server, own.message, HASH_LEN);
	memcpy(r.client, own.sign, HASH_LEN);
	memcpy(r.signature, last_signature, HASH_LEN);
	memcpy(r.previous, last_leaf, HASH_LEN);
	sha256(r.response, m->text);
	memset(r.salt, 7, HASH_LEN);
	proof_receipt_leaf(last_leaf, &r);
	proof_tree(root, all, 1);
	proof_receipt_tbs(&tbs, r.server, root);
	sign(&sig, &tbs);
	r.sig = buf_bytes(&sig);
	proof_receipt_encode(out, &r);
	buf_free(&sig);
}

static void
add_message(struct proof_export *e, uint64_t number)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct buf proof = BUF_INIT(PROOF_MAX);
	struct proof_message m = { .number = number,
	    .kind = (uint8_t)(2 - number % 2), .finish = number % 2 == 0,
	    .time_us = number, .model = bytes_str("m"),
	    .text = bytes_str("text") };
	struct proof_user p = { .number = number, .time_us = 9,
	    .spki = buf_bytes(&spki) };
	uint8_t digest[HASH_LEN];

	if (m.kind == 1) {
		memcpy(p.client, own.sign, HASH_LEN);
		memcpy(p.previous, e->last, HASH_LEN);
		if (number == 1)
			memset(p.previous, 0, HASH_LEN);
		proof_digest(digest, p.salt, m.text);
		proof_user_tbs(&tbs, &p, digest);
		sign(&sig, &tbs);
		p.sig = buf_bytes(&sig);
		proof_user_encode(&proof, &p);
		m.proof = buf_bytes(&proof);
	}
	/* No member has the value that it has when it is not there. */
	if (m.kind == 2) {
		add_receipt(&proof, &m);
		m.proof = buf_bytes(&proof);
	} else
		sha256(last_signature, buf_bytes(&sig));
	proof_sent(sent, m.kind, m.text);
	add("%s\n{\"role\": \"%s\", \"time_us\": %d, %s\"model\": "
	    "\"m\", \"text\": \"text\", \"number\": %d", number > 1 ? "," : "",
	    m.kind == 1 ? "user" : "assistant", (int)number,
	    m.finish != 0 ? "\"finish\": 1, " : "", (int)number);
	if (proof.n > 0) {
		add(", ");
		add_hex("proof", m.proof);
	}
	add("}");
	proof_link_next(e->last, &m);
	buf_free(&sig);
	buf_free(&proof);
}

static void
make_good(void)
{
	struct buf tbs = BUF_INIT(PROOF_TBS_MAX), sig = BUF_INIT(RSA_OUT_MAX);
	struct proof_export e = { .count = MESSAGES, .time_us = 9 };

	memcpy(e.client, own.sign, HASH_LEN);
	proof_link_begin(e.last, e.conv);
	add("{\"format\": \"%s\", \"version\": %d, \"title\": \"t\",\n"
	    "\"messages\": [", TRANSFER_FORMAT, TRANSFER_VERSION);
	for (uint64_t i = 1; i <= MESSAGES; i++)
		add_message(&e, i);
	proof_export_tbs(&tbs, &e);
	sign(&sig, &tbs);
	add("],\n\"signed\": {");
	add_hex("conversation", bytes_of(e.conv, sizeof(e.conv)));
	add(", \"count\": %d, \"time_us\": 9, ", MESSAGES);
	add_hex("last", bytes_of(e.last, HASH_LEN));
	add(", ");
	add_hex("server", bytes_of(e.server, HASH_LEN));
	add(", ");
	add_hex("client", bytes_of(e.client, HASH_LEN));
	add(", ");
	add_hex("key", buf_bytes(&spki));
	add(", ");
	add_hex("signature", buf_bytes(&sig));
	add("}}");
	buf_free(&sig);
}

static bool
any_server(void *arg, const uint8_t fp[HASH_LEN])
{
	(void)arg;
	(void)fp;
	return true;
}

static void
count(void *arg, bool bad, uint64_t number, const char *text)
{
	(void)number;
	need(strlen(text) > 0);
	*(size_t *)arg += bad;
}

/* Whether the file verifies; -1 when it is none. */
static int
verifies(struct bytes file)
{
	size_t problems = 0;
	struct verify v = { .keys = &own, .nkeys = 1, .server = any_server,
	    .say = count, .arg = &problems };
	struct transfer *t;
	char err[256];

	if ((t = transfer_parse(file, err, sizeof(err))) == NULL) {
		need(strlen(err) > 0);
		return -1;
	}
	verify_run(&v, t);
	need(v.problems == problems);
	transfer_free(t);
	return problems == 0;
}

static void
fuzz_setup(void)
{
	need((key = rsa_generate(RSA_USE_SIGN, 3072, 0)) != NULL);
	need(rsa_spki_encode(&spki, key) == 0);
	memset(own.sign, 7, HASH_LEN);
	sha256(own.message, buf_bytes(&spki));
	need((sent = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestInit_ex(sent, sha256_md(), NULL) == 1);
	make_good();
	need(verifies(bytes_of(good, good_n)) == 1);
}

static void
fuzz_seeds(void)
{
	fuzz_seed("\0", 1, bytes_of(good, good_n));
	fuzz_seed("\1\0\5x", 4, bytes_str(""));
	fuzz_seed("\2\1", 2, bytes_str(""));
}

/* Of everything that counts, a file has one spelling in lower-case letters. */
static bool
same_but_case(const char *a, const char *b, size_t n)
{
	return strncasecmp(a, b, n) == 0;
}

/* One byte of the good file is another: it is not accepted. */
static void
changed(struct rd *in)
{
	static char copy[sizeof(good)];
	size_t at = rd_u16(in) % good_n;
	char c = (char)rd_u8(in);

	memcpy(copy, good, good_n);
	copy[at] = c;
	if (same_but_case(copy, good, good_n))
		return;
	if (verifies(bytes_of(copy, good_n)) != 1)
		return;
	/* Outside of what is signed: the title, blanks, an unknown member. */
	if (memchr(" \n\t\r", good[at], 4) == NULL)
		(void)fprintf(stderr, "byte %zu: '%c' is '%c': %.60s\n", at,
		    good[at], c, good + (at > 30 ? at - 30 : 0));
	need(memchr(" \n\t\r", good[at], 4) != NULL || at <
	    (size_t)(strstr(good, "messages") - good));
}

static void
proof(struct bytes b)
{
	struct buf again = BUF_INIT(PROOF_MAX);
	struct proof_user p;
	struct proof_receipt r;

	if (proof_user_decode(&p, b) == 0) {
		proof_user_encode(&again, &p);
		need(!again.err && bytes_eq(buf_bytes(&again), b));
	} else if (proof_receipt_decode(&r, b) == 0) {
		proof_receipt_encode(&again, &r);
		need(!again.err && bytes_eq(buf_bytes(&again), b));
		(void)proof_receipt_verify(&r);
	}
	buf_free(&again);
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);

	switch (rd_u8(&in) % 3) {
	case 0:
		need(in.n >= good_n || verifies(rd_bytes(&in, in.n)) != 1);
		break;
	case 1:
		changed(&in);
		break;
	default:
		proof(rd_bytes(&in, in.n));
	}
}
