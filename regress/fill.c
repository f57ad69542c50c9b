/*
 * A long history, put into the closed store of a throw-away service by somebody
 * who has all of its keys: what bench_history.sh measures on.
 *
 *	fill STATE USER CONVERSATIONS MESSAGES
 *
 * Each conversation gets MESSAGES messages of some hundred bytes; the word
 * "needle" is in one message of every thousandth conversation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "kdf.h"
#include "kv.h"
#include "loop.h"
#include "log.h"
#include "vaultkeys.h"

#define TEXT		400	/* bytes of a message */
#define LOG_BYTES	((uint64_t)16 << 20)
#define GROUP		50	/* conversations for one sync */

static struct vaultkeys keys;
static struct seal_bundle bundle;
static struct kv *kv;
static struct rec_mset h;
static uint64_t h_version;
static struct rec_user user;

/* What is written with a conversation, at most KV_MAX_OPS records. */
static struct kv_op ops[KV_MAX_OPS];
static size_t nops;
static uint64_t logged;

static void
flush_ops(void)
{
	if (nops == 0)
		return;
	if (kv_write(kv, ops, nops) != KV_OK)
		fatalx("a write failed");
	for (size_t i = 0; i < nops; i++)
		free((void *)(uintptr_t)ops[i].key.p);
	nops = 0;
	if (logged < LOG_BYTES)
		return;
	logged = 0;
	if (kv_maint(kv, KV_CHECKPOINT) != KV_OK)
		fatalx("a checkpoint failed");
}

static int
put(void *arg, struct bytes key, struct bytes value)
{
	uint8_t *p = malloc(key.n + value.n);

	(void)arg;
	if (p == NULL)
		fatal("malloc");
	memcpy(p, key.p, key.n);
	memcpy(p + key.n, value.p, value.n);
	if (nops == KV_MAX_OPS)
		flush_ops();
	ops[nops++] = (struct kv_op){ .op = KV_PUT, .pre = KV_ANY,
	    .key = bytes_of(p, key.n), .value = bytes_of(p + key.n, value.n) };
	logged += key.n + value.n;
	return 0;
}

static bool
take(void *arg, struct bytes key, struct bytes value)
{
	(void)key;
	buf_reset(arg);
	if (value.p != NULL)
		buf_put(arg, value.p, value.n);
	return true;
}

static void
get(struct buf *b, const struct rec_key *key)
{
	struct bytes k = rec_bytes(key);

	if (kv_get(kv, &k, 1, take, b) != KV_OK || b->n == 0)
		fatalx("a record is missing");
}

static void
open_store(const char *state, const char *name)
{
	uint32_t gen;
	struct buf b = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t kek[SEAL_KEYLEN];
	struct rec_key key;
	char path[4096];
	uint64_t version;

	vaultkeys_open(&keys, state);
	(void)snprintf(path, sizeof(path), "%s/db", state);
	if ((kv = kv_open(path, NULL)) == NULL)
		fatalx("no store in %s", path);
	gen = keys.anchor.epoch[0].gen;
	key = rec_key_bundle(gen);
	get(&b, &key);
	seal_kek(kek, keys.sk[0]);
	if (seal_bundle_open(&bundle, &version, kek, gen, buf_bytes(&b)) != 0)
		fatalx("R does not open");
	key = rec_key_mset();
	get(&b, &key);
	if (rec_open_mset(&h, &h_version, &bundle, rec_bytes(&key),
	    buf_bytes(&b)) != 0)
		fatalx("H does not open");
	key = rec_key_user(&bundle, name);
	get(&b, &key);
	if (rec_open_user(&user, &version, &bundle, rec_bytes(&key),
	    buf_bytes(&b)) != 0)
		fatalx("there is no user %s", name);
	buf_free(&b);
}

/* Words of a language that nobody speaks. */
static void
make_text(char text[TEXT + 1], unsigned conv, unsigned number)
{
	size_t n = (size_t)snprintf(text, TEXT, "%u %u%s", conv, number,
	    conv % 1000 == 7 && number == 3 ? " needle" : "");
	uint32_t x = conv * 2654435761u + number * 40503u + 1;

	while (n < TEXT) {
		x = x * 1664525u + 1013904223u;
		text[n++] = x >> 29 == 0 ? ' ' : (char)('a' + (x >> 16) % 26);
	}
	text[n] = '\0';
}

static void
put_conv(unsigned conv, unsigned messages, uint64_t time_us)
{
	struct rec_head head = { .last = messages, .created_us = time_us,
	    .updated_us = time_us };
	struct rec_list list = { .count = messages, .updated_us = time_us };
	uint32_t epoch = keys.anchor.epoch[0].epoch;
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);
	uint8_t dk[SEAL_KEYLEN], chain[REC_HASH] = { 0 };
	struct rec_key ck, lk, dkey;
	struct entry_at at = { .number = 0 };
	char text[TEXT + 1];

	memcpy(at.uid, user.uid, sizeof(at.uid));
	crypto_random(at.conv, sizeof(at.conv));
	crypto_random(dk, sizeof(dk));
	for (unsigned i = 1; i <= messages; i++) {
		struct entry e = { .kind = i % 2 == 1 ? KIND_USER :
		    KIND_ASSISTANT, .finish = i % 2 == 1 ? FINISH_NONE :
		    FINISH_STOP, .time_us = time_us };

		make_text(text, conv, i);
		e.text = bytes_str(text);
		at.number = i;
		if (entry_seal(&bundle, dk, &at, 1, chain, &e, put, NULL) != 0)
			fatalx("a message cannot be sealed");
		memcpy(chain, e.chain, sizeof(chain));
	}
	memcpy(head.chain, chain, sizeof(chain));
	make_text(text, conv, 1);
	text[40] = '\0';
	(void)strlcpy(list.title, text, sizeof(list.title));
	ck = rec_key_head(user.uid, at.conv);
	lk = rec_key_list(user.uid, time_us, at.conv);
	dkey = rec_key_data(user.uid, at.conv);
	if (rec_seal_head(&val, &bundle, rec_bytes(&ck), 1, &head) != 0)
		fatalx("a head cannot be sealed");
	(void)put(NULL, rec_bytes(&ck), buf_bytes(&val));
	mset_add(h.mset, &bundle, rec_bytes(&ck), 1, &head);
	buf_reset(&val);
	if (rec_seal_list(&val, dk, rec_bytes(&lk), 1, &list) != 0)
		fatalx("a summary cannot be sealed");
	(void)put(NULL, rec_bytes(&lk), buf_bytes(&val));
	buf_reset(&val);
	if (seal_data_key(&val, keys.ek[0], epoch, rec_bytes(&dkey), 1,
	    dk) != 0)
		fatalx("a data key cannot be sealed");
	(void)put(NULL, rec_bytes(&dkey), buf_bytes(&val));
	buf_free(&val);
}

/* H last: the store opens with all of it or not at all. */
static void
put_h(void)
{
	struct rec_key key = rec_key_mset();
	struct buf val = BUF_INIT(SEAL_VALUE_MAX);

	h.n++;
	if (rec_seal_mset(&val, &bundle, rec_bytes(&key), h_version + 1,
	    &h) != 0)
		fatalx("H cannot be sealed");
	(void)put(NULL, rec_bytes(&key), buf_bytes(&val));
	buf_free(&val);
	flush_ops();
}

int
main(int argc, char **argv)
{
	unsigned convs, messages;
	uint64_t now = wall_us();

	log_set_name("fill");
	if (argc != 5)
		fatalx("usage: fill STATE USER CONVERSATIONS MESSAGES");
	convs = (unsigned)strtoul(argv[3], NULL, 10);
	messages = (unsigned)strtoul(argv[4], NULL, 10);
	open_store(argv[1], argv[2]);
	for (unsigned i = 0; i < convs; i++) {
		put_conv(i, messages, now - (uint64_t)(convs - i) * 1000000);
		if (i % GROUP == 0 && kv_flush(kv) != KV_OK)
			fatalx("a flush failed");
	}
	put_h();
	if (kv_maint(kv, KV_CHECKPOINT) != KV_OK || kv_close(kv) != KV_OK)
		fatalx("the store does not close");
	return 0;
}
