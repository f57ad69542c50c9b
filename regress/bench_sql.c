/*
 * What others make of the same batches: SQLite and SQLCipher, write-ahead log,
 * synchronous = FULL.  Their libraries have the same symbols, so each is loaded
 * on its own; who has none of them gets no number.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include "bench.h"
#include "log.h"

#define OK	0	/* SQLITE_OK */
#define DONE	101	/* SQLITE_DONE */

struct sql {
	void	*lib, *db, *put;
	int	(*exec)(void *, const char *, void *, void *, char **);
	int	(*bind)(void *, int, const void *, int, void (*)(void *));
	int	(*step)(void *);
	int	(*reset)(void *);
	int	(*finalize)(void *);
	int	(*close)(void *);
};

/* dlsym(3) gives an object's pointer, of the same size as a function's. */
static void
symbol(void *lib, const char *name, void *fn)
{
	void *p = dlsym(lib, name);

	if (p == NULL)
		fatalx("%s", dlerror());
	*(void **)fn = p;
}

static void
run(struct sql *s, const char *text)
{
	if (s->exec(s->db, text, NULL, NULL, NULL) != OK)
		fatalx("%s", text);
}

struct sql *
sql_open(const char *const libs[], const char *path, bool key)
{
	int (*open)(const char *, void **);
	int (*prepare)(void *, const char *, int, void **, const char **);
	struct sql *s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("calloc");
	for (size_t i = 0; s->lib == NULL && libs[i] != NULL; i++)
		s->lib = dlopen(libs[i], RTLD_NOW | RTLD_LOCAL);
	if (s->lib == NULL) {
		free(s);
		return NULL;
	}
	symbol(s->lib, "sqlite3_open", &open);
	symbol(s->lib, "sqlite3_prepare_v2", &prepare);
	symbol(s->lib, "sqlite3_exec", &s->exec);
	symbol(s->lib, "sqlite3_bind_blob", &s->bind);
	symbol(s->lib, "sqlite3_step", &s->step);
	symbol(s->lib, "sqlite3_reset", &s->reset);
	symbol(s->lib, "sqlite3_finalize", &s->finalize);
	symbol(s->lib, "sqlite3_close", &s->close);
	if (open(path, &s->db) != OK)
		fatalx("%s", path);
	/* A raw key: no time for a password. */
	if (key)
		run(s, "PRAGMA key = \"x'2DD29CA851E7B56E4697B0E1F08507293D761"
		    "A05CE4D1B628663F411A8086D99'\"");
	run(s, "PRAGMA page_size = 4096");
	run(s, "PRAGMA journal_mode = WAL");
	run(s, "PRAGMA synchronous = FULL");
	run(s, "PRAGMA wal_autocheckpoint = 0");
	run(s, "PRAGMA cache_size = -65536");
	run(s, "CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
	if (prepare(s->db, "INSERT INTO kv VALUES (?, ?)", -1, &s->put,
	    NULL) != OK)
		fatalx("INSERT");
	return s;
}

double
sql_batch_us(struct sql *s, const struct batch *b)
{
	double start = now_us();

	run(s, "BEGIN IMMEDIATE");
	for (size_t i = 0; i < b->n; i++) {
		if (s->bind(s->put, 1, b->keys + i * b->key_n, (int)b->key_n,
		    NULL) != OK || s->bind(s->put, 2, b->values + i *
		    b->stride, (int)b->size, NULL) != OK ||
		    s->step(s->put) != DONE || s->reset(s->put) != OK)
			fatalx("INSERT");
	}
	run(s, "COMMIT");
	return now_us() - start;
}

void
sql_checkpoint(struct sql *s)
{
	run(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}

void
sql_close(struct sql *s)
{
	if (s == NULL)
		return;
	if (s->finalize(s->put) != OK || s->close(s->db) != OK)
		fatalx("a database of SQL does not close");
	(void)dlclose(s->lib);
	free(s);
}
