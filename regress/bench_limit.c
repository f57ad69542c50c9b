#include "bench.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "kdf.h"
#include "kv.h"
#include "log.h"
#include "rsa.h"

#define HANDSHAKES	100	/* of the limit */
#define BATCH		64	/* commits outstanding */
#define BATCHES		40
#define KEY_BYTES	27	/* of a message, docs/storage.md */
#define LOG_BYTES	(16u << 20) /* the engine's checkpoint */

/* ---- a handshake --------------------------------------------------------- */

/* A new key, and the secret that it shares with peer. */
static void
agree(EVP_PKEY *peer)
{
	EVP_PKEY *own = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	uint8_t secret[32];
	size_t n = sizeof(secret);

	if (own == NULL || ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1 ||
	    EVP_PKEY_derive(ctx, secret, &n) != 1)
		crypto_fatalx("X25519");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
}

static void
fork_once(void)
{
	pid_t pid = fork();

	if (pid == -1)
		fatal("fork");
	if (pid == 0)
		_exit(0);
	if (waitpid(pid, NULL, 0) == -1)
		fatal("waitpid");
}

/* What no server can leave out that does what Cloister's handshake does. */
void
bench_limits(void)
{
	EVP_PKEY *sign = rsa_generate(RSA_USE_SIGN, RSA_BITS_DEFAULT, 0);
	EVP_PKEY *wrap = rsa_generate(RSA_USE_WRAP, RSA_BITS_DEFAULT, 0);
	EVP_PKEY *share = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	struct buf sig = BUF_INIT(RSA_OUT_MAX), ct = BUF_INIT(RSA_OUT_MAX);
	uint8_t text[HASH_LEN] = "signed", label[HASH_LEN] = "label";
	struct bytes msg = bytes_of(text, sizeof(text));
	double cpu;

	if (sign == NULL || wrap == NULL || share == NULL)
		crypto_fatalx("key generation");
	rsa_warmup(sign, RSA_USE_SIGN);
	cpu = self_cpu_us();
	for (int i = 0; i < HANDSHAKES; i++) {
		fork_once();
		fork_once();
		agree(share);
		buf_reset(&sig);
		buf_reset(&ct);
		if (rsa_pss_sign(&sig, sign, msg) == -1 ||
		    rsa_pss_verify(sign, buf_bytes(&sig), msg) == -1 ||
		    rsa_oaep_encrypt(&ct, wrap, label, text) == -1)
			crypto_fatalx("RSA");
	}
	metric("limit.handshake", (self_cpu_us() - cpu) / HANDSHAKES / 1e3);
	buf_free(&sig);
	buf_free(&ct);
	EVP_PKEY_free(share);
	EVP_PKEY_free(wrap);
	EVP_PKEY_free(sign);
}

/* ---- the store ----------------------------------------------------------- */

/* 64 conversations, each of which gets a message in every batch. */
struct load {
	uint8_t		keys[BATCH][KEY_BYTES];
	uint8_t		values[BATCH][KV_MAX_VALUE];
	size_t		size;		/* bytes of a value */
	uint64_t	number;		/* of the batch */
	size_t		logged;		/* bytes since the last checkpoint */
};

static void
load_next(struct load *l)
{
	l->number++;
	for (size_t i = 0; i < BATCH; i++) {
		put_be64(l->keys[i] + 17, l->number);
		put_be64(l->values[i], 1);
	}
}

static double
store_batch_us(struct kv *kv, const struct load *l)
{
	double start = now_us();

	for (size_t i = 0; i < BATCH; i++) {
		struct kv_op op = { KV_PUT, KV_ABSENT, 0,
		    bytes_of(l->keys[i], KEY_BYTES),
		    bytes_of(l->values[i], l->size) };

		if (kv_write(kv, &op, 1) != KV_OK)
			fatalx("kv_write");
	}
	if (kv_flush(kv) != KV_OK)
		fatalx("kv_flush");
	return now_us() - start;
}

static double
raw_batch_us(int fd, const struct load *l)
{
	static uint8_t out[BATCH * (KEY_BYTES + KV_MAX_VALUE)];
	double start = now_us();
	size_t n = 0;

	for (size_t i = 0; i < BATCH; i++) {
		memcpy(out + n, l->keys[i], KEY_BYTES);
		memcpy(out + n + KEY_BYTES, l->values[i], l->size);
		n += KEY_BYTES + l->size;
	}
	if (write(fd, out, n) != (ssize_t)n || fdatasync(fd) == -1)
		fatal("append");
	return now_us() - start;
}

static const char *const sqlite_libs[] = { "libsqlite3.so.0", NULL };
static const char *const cipher_libs[] = { "libsqlcipher.so.1",
    "libsqlcipher.so.0", NULL };

/* The others, each of them or NULL. */
enum { SQLITE, CIPHER, SQLS };
static const char *const sql_names[SQLS] = { "sqlite", "sqlcipher" };

/* The engine makes its checkpoints when nobody waits: so none are timed. */
static void
checkpoint(struct kv *kv, struct sql *sql[SQLS], struct load *l)
{
	l->logged += BATCH * (KEY_BYTES + l->size);
	if (l->logged < LOG_BYTES)
		return;
	l->logged = 0;
	if (kv_maint(kv, KV_CHECKPOINT) != KV_OK)
		fatalx("checkpoint");
	for (int i = 0; i < SQLS; i++)
		if (sql[i] != NULL)
			sql_checkpoint(sql[i]);
}

static void
store_size(struct kv *kv, int fd, struct sql *sql[SQLS], size_t size)
{
	static struct load l;
	const struct batch b = { l.keys[0], l.values[0], KEY_BYTES,
	    sizeof(l.values[0]), size, BATCH };
	double stored = 0, raw = 0, other[SQLS] = { 0 };
	double n = (double)BATCH * BATCHES;
	char name[64];

	memset(&l, 0, sizeof(l));
	l.size = size;
	crypto_random(l.keys, sizeof(l.keys));
	crypto_random(l.values, sizeof(l.values));
	for (int i = 0; i < BATCHES; i++) {
		load_next(&l);
		stored += store_batch_us(kv, &l);
		raw += raw_batch_us(fd, &l);
		for (int k = 0; k < SQLS; k++)
			if (sql[k] != NULL)
				other[k] += sql_batch_us(sql[k], &b);
		checkpoint(kv, sql, &l);
	}
	(void)snprintf(name, sizeof(name), "store.%zu.rate", size);
	metric(name, n * 1e6 / stored);
	(void)snprintf(name, sizeof(name), "raw.%zu.rate", size);
	metric(name, n * 1e6 / raw);
	(void)snprintf(name, sizeof(name), "store.%zu.ratio", size);
	metric(name, raw / stored);
	for (int k = 0; k < SQLS; k++) {
		if (sql[k] == NULL)
			continue;
		(void)snprintf(name, sizeof(name), "%s.%zu.rate", sql_names[k],
		    size);
		metric(name, n * 1e6 / other[k]);
	}
}

void
bench_store(const char *dir)
{
	struct sql *sql[SQLS];
	char path[PATH_MAX];
	struct kv *kv;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/store", dir);
	if (mkdir(path, 0700) == -1)
		fatal("%s", path);
	if (kv_init(path, NULL) != KV_OK ||
	    (kv = kv_open(path, NULL)) == NULL)
		fatalx("%s: no store", path);
	(void)snprintf(path, sizeof(path), "%s/raw", dir);
	if ((fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC,
	    0600)) == -1)
		fatal("%s", path);
	(void)snprintf(path, sizeof(path), "%s/sqlite", dir);
	sql[SQLITE] = sql_open(sqlite_libs, path, false);
	(void)snprintf(path, sizeof(path), "%s/sqlcipher", dir);
	sql[CIPHER] = sql_open(cipher_libs, path, true);
	store_size(kv, fd, sql, 300);
	store_size(kv, fd, sql, 4000);
	for (int i = 0; i < SQLS; i++)
		sql_close(sql[i]);
	(void)close(fd);
	if (kv_close(kv) != KV_OK)
		fatalx("the store did not close");
}
