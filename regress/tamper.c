/*
 * tamper: change the records of a store whose service is stopped, as somebody
 * may who can write its files and has no key.
 *
 *	tamper DIRECTORY COMMAND [ARGUMENT...] ...
 *
 * Commands, each by the bytes of keys in hexadecimal:
 *	list KIND		print the keys of a kind of record
 *	flip KEY		change one bit in the middle of the value
 *	cut KEY N		leave N bytes of the value
 *	long KEY N		make the value N bytes long
 *	drop KEY		remove the record
 *	copy KEY TO		put the value under another key too
 *	move KEY TO		... and remove it here
 *	swap KEY KEY		exchange two values
 *	junk KEY N		put N bytes of nothing there
 *	save KINDS ID FILE	keep all records of these kinds that have ID in
 *				their key ("" for all) in a file
 *	wipe KINDS ID		remove them
 *	load FILE		put back what was kept, over what is there
 *
 * Plain Berkeley DB: what is put need not keep the limits of the engine.  The
 * changes are checkpointed, as a clean stop does.
 */
#include <sys/stat.h>

#include <err.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <db.h>

#include "bytes.h"

#define VALUE_MAX	(1u << 20)
#define KEY_MAX		4096

static DB_ENV *env;
static DB *db;
static uint8_t value[VALUE_MAX], other[VALUE_MAX];

static void
check(int ret, const char *what)
{
	if (ret != 0)
		errx(1, "%s: %s", what, db_strerror(ret));
}

/* As the engine's user, whose files they are and stay. */
static void
open_store(const char *dir)
{
	char data[PATH_MAX], logs[PATH_MAX];
	struct stat st;

	if (stat(dir, &st) == -1)
		err(1, "%s", dir);
	if (geteuid() == 0 && (setgid(st.st_gid) == -1 ||
	    setuid(st.st_uid) == -1))
		err(1, "setuid");
	(void)snprintf(data, sizeof(data), "%s/data", dir);
	(void)snprintf(logs, sizeof(logs), "%s/log", dir);
	check(db_env_create(&env, 0), "environment");
	check(env->set_data_dir(env, data), "data directory");
	check(env->set_lg_dir(env, logs), "log directory");
	check(env->open(env, dir, DB_CREATE | DB_PRIVATE | DB_RECOVER |
	    DB_INIT_LOCK | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_TXN, 0600),
	    "environment");
	check(db_create(&db, env, 0), "database");
	check(db->open(db, NULL, "kv.db", NULL, DB_BTREE, DB_AUTO_COMMIT, 0600),
	    "database");
}

static DBT
hex_key(uint8_t buf[KEY_MAX], const char *hex)
{
	DBT k = { .data = buf, .size = (uint32_t)(strlen(hex) / 2) };

	if (k.size > KEY_MAX || hex_decode(buf, k.size, hex) == -1)
		errx(1, "%s: not a key", hex);
	return k;
}

static DBT
get(DBT *key, uint8_t *buf)
{
	DBT v = { .data = buf, .ulen = VALUE_MAX, .flags = DB_DBT_USERMEM };

	check(db->get(db, NULL, key, &v, 0), "get");
	return v;
}

static void
put(DBT *key, const uint8_t *p, uint32_t n)
{
	DBT v = { .data = (void *)(uintptr_t)p, .size = n };

	check(db->put(db, NULL, key, &v, 0), "put");
}

static void
del(DBT *key)
{
	check(db->del(db, NULL, key, 0), "del");
}

/* One record by one or two keys. */
static void
on_one(const char *cmd, const char *hex, const char *arg)
{
	static uint8_t kb[KEY_MAX], tb[KEY_MAX];
	DBT key = hex_key(kb, hex), to, v = { .size = 0 }, w;

	memset(value, 0x5a, sizeof(value));
	if (strcmp(cmd, "junk") != 0)
		v = get(&key, value);
	if (strcmp(cmd, "flip") == 0) {
		value[v.size / 2] ^= 0x10;
		put(&key, value, v.size);
	} else if (strcmp(cmd, "cut") == 0 || strcmp(cmd, "long") == 0 ||
	    strcmp(cmd, "junk") == 0)
		put(&key, value, (uint32_t)atoi(arg));
	else if (strcmp(cmd, "drop") == 0)
		del(&key);
	else if (strcmp(cmd, "copy") == 0 || strcmp(cmd, "move") == 0) {
		to = hex_key(tb, arg);
		put(&to, value, v.size);
		if (cmd[0] == 'm')
			del(&key);
	} else {
		to = hex_key(tb, arg);
		w = get(&to, other);
		put(&to, value, v.size);
		put(&key, other, w.size);
	}
}

/* Call fn for each record of the kinds with id in its key. */
static void
each(const char *kinds, const char *id_hex, void (*fn)(DBT *, DBT *, FILE *),
    FILE *arg)
{
	static uint8_t kb[KEY_MAX], id[KEY_MAX];
	DBT want = hex_key(id, id_hex);
	DBT k = { .data = kb, .ulen = sizeof(kb), .flags = DB_DBT_USERMEM };
	DBT v = { .data = value, .ulen = VALUE_MAX, .flags = DB_DBT_USERMEM };
	DBC *c;

	check(db->cursor(db, NULL, &c, 0), "cursor");
	while (c->get(c, &k, &v, DB_NEXT) == 0) {
		if (k.size == 0 || strchr(kinds, kb[0]) == NULL ||
		    memmem(kb, k.size, want.data, want.size) == NULL)
			continue;
		fn(&k, &v, arg);
	}
	check(c->close(c), "cursor");
}

static void
print(DBT *k, DBT *v, FILE *f)
{
	const uint8_t *p = k->data;

	(void)v;
	for (uint32_t i = 0; i < k->size; i++)
		fprintf(f, "%02x", p[i]);
	fprintf(f, "\n");
}

static void
keep(DBT *k, DBT *v, FILE *f)
{
	if (fwrite(&k->size, sizeof(k->size), 1, f) != 1 ||
	    fwrite(k->data, k->size, 1, f) != 1 ||
	    fwrite(&v->size, sizeof(v->size), 1, f) != 1 ||
	    fwrite(v->data, v->size, 1, f) != 1)
		err(1, "write");
}

static void
load(FILE *f)
{
	static uint8_t kb[KEY_MAX];
	DBT k = { .data = kb };
	uint32_t n;

	while (fread(&k.size, sizeof(k.size), 1, f) == 1) {
		if (k.size > sizeof(kb) || fread(kb, k.size, 1, f) != 1 ||
		    fread(&n, sizeof(n), 1, f) != 1 || n > sizeof(value) ||
		    fread(value, n, 1, f) != 1)
			errx(1, "not what was kept");
		put(&k, value, n);
	}
}

/* Their keys first: nothing is removed under a cursor. */
static void
wipe(const char *kinds, const char *id)
{
	FILE *f = tmpfile();
	static uint8_t kb[KEY_MAX];
	char line[2 * KEY_MAX + 2];
	DBT key;

	if (f == NULL)
		err(1, "tmpfile");
	each(kinds, id, print, f);
	rewind(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		key = hex_key(kb, line);
		del(&key);
	}
	(void)fclose(f);
}

static FILE *
file(const char *path, const char *mode)
{
	FILE *f = fopen(path, mode);

	if (f == NULL)
		err(1, "%s", path);
	return f;
}

/* One command; how many arguments it took. */
static int
run(int argc, char **argv)
{
	static const struct {
		const char	*name;
		int		 args;
	} commands[] = {
		{ "list", 1 }, { "flip", 1 }, { "drop", 1 }, { "cut", 2 },
		{ "long", 2 }, { "junk", 2 }, { "copy", 2 }, { "move", 2 },
		{ "swap", 2 }, { "save", 3 }, { "wipe", 2 }, { "load", 1 }
	};
	const char *cmd = argv[0];
	size_t i = 0;
	FILE *f;

	while (i < sizeof(commands) / sizeof(commands[0]) &&
	    strcmp(cmd, commands[i].name) != 0)
		i++;
	if (i == sizeof(commands) / sizeof(commands[0]) ||
	    argc <= commands[i].args)
		errx(1, "%s: no such command, or too few arguments", cmd);
	if (strcmp(cmd, "list") == 0)
		each(argv[1], "", print, stdout);
	else if (strcmp(cmd, "save") == 0) {
		f = file(argv[3], "w");
		each(argv[1], argv[2], keep, f);
		if (fclose(f) == EOF)
			err(1, "%s", argv[3]);
	} else if (strcmp(cmd, "wipe") == 0)
		wipe(argv[1], argv[2]);
	else if (strcmp(cmd, "load") == 0) {
		f = file(argv[1], "r");
		load(f);
		(void)fclose(f);
	} else
		on_one(cmd, argv[1], commands[i].args == 2 ? argv[2] : NULL);
	return commands[i].args;
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		errx(1, "usage: tamper directory command [argument...] ...");
	open_store(argv[1]);
	for (int i = 2; i < argc; i++)
		i += run(argc - i, argv + i);
	check(db->close(db, 0), "close");
	check(env->txn_checkpoint(env, 0, 0, DB_FORCE), "checkpoint");
	check(env->close(env, 0), "close");
	return 0;
}
