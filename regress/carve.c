/*
 * carve: which conversations' data keys can be opened from these files?
 *
 *	carve STATE-DIRECTORY DIRECTORY CONVERSATION...
 *
 * With everything that the state directory has (wrap key, key file, both slots
 * of the anchor), every byte of every file below DIRECTORY is tried as the
 * beginning of a data key's record, whether the database still knows of it or
 * not: free pages, old logs, the middle of a page.  Prints "open CONVERSATION"
 * for each that one opens, and "carved N places, M open".
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "rkey.h"
#include "vaultkeys.h"

#define VALUE_BYTES	(8 + 4 + 12 + 32 + 16)	/* a D record's value */
#define SMALL		100000		/* no version or epoch here is larger */

struct wanted {
	uint8_t	conv[REC_ID];
	uint8_t	uid[REC_ID];
	bool	have_uid;
	bool	open;
};

static struct wanted *wanted;
static size_t nwanted;
static struct vaultkeys slot[2];
static bool valid[2];
static size_t places;

static void
try(const uint8_t *p)
{
	uint32_t epoch = get_be32(p + 8);

	if (get_be32(p) != 0 || get_be64(p) == 0 || get_be64(p) > SMALL ||
	    epoch == 0 || epoch > SMALL)
		return;
	places++;
	for (size_t w = 0; w < nwanted; w++)
		for (unsigned s = 0; s < 2; s++)
			for (unsigned i = 0; valid[s] &&
			    i < slot[s].anchor.nepochs; i++) {
				struct rec_key key = rec_key_data(
				    wanted[w].uid, wanted[w].conv);
				uint8_t dk[SEAL_KEYLEN];
				uint64_t version;

				if (seal_data_key_open(dk, &version,
				    slot[s].ek[i], slot[s].anchor.epoch[i].epoch,
				    rec_bytes(&key),
				    bytes_of(p, VALUE_BYTES)) == 0)
					wanted[w].open = true;
			}
}

/* The key of a record D, or C, names the user. */
static void
find_users(const uint8_t *p, size_t n)
{
	for (size_t w = 0; w < nwanted; w++) {
		const uint8_t *q = p, *end = p + n;

		while (!wanted[w].have_uid && (q = memmem(q, (size_t)(end - q),
		    wanted[w].conv, REC_ID)) != NULL) {
			if (q - p > REC_ID && (q[-REC_ID - 1] == REC_DATA ||
			    q[-REC_ID - 1] == REC_HEAD)) {
				memcpy(wanted[w].uid, q - REC_ID, REC_ID);
				wanted[w].have_uid = true;
			}
			q++;
		}
	}
}

static void
each_file(const char *dir, void (*fn)(const uint8_t *, size_t))
{
	char *paths[] = { (char *)(uintptr_t)dir, NULL };
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *e;

	if (fts == NULL)
		fatal("%s", dir);
	while ((e = fts_read(fts)) != NULL) {
		uint8_t *p;
		size_t n;
		int fd;

		if (e->fts_info != FTS_F || e->fts_statp->st_size == 0)
			continue;
		n = (size_t)e->fts_statp->st_size;
		if ((fd = open(e->fts_accpath, O_RDONLY)) == -1 ||
		    (p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0)) ==
		    MAP_FAILED)
			fatal("%s", e->fts_path);
		fn(p, n);
		(void)munmap(p, n);
		(void)close(fd);
	}
	(void)fts_close(fts);
}

static void
carve(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i + VALUE_BYTES <= n; i++)
		if (p[i] == 0 && p[i + 1] == 0)
			try(p + i);
}

int
main(int argc, char **argv)
{
	size_t n = 0;

	if (argc < 4)
		fatalx("usage: carve state-directory directory conversation...");
	nwanted = (size_t)argc - 3;
	if ((wanted = calloc(nwanted, sizeof(*wanted))) == NULL)
		fatal("calloc");
	for (size_t w = 0; w < nwanted; w++)
		if (hex_decode(wanted[w].conv, REC_ID, argv[w + 3]) == -1)
			fatalx("%s: not a conversation", argv[w + 3]);
	for (unsigned s = 0; s < 2; s++)
		valid[s] = vaultkeys_slot(&slot[s], argv[1], s);
	if (!valid[0] && !valid[1])
		fatalx("no slot of the anchor opens");
	each_file(argv[2], find_users);
	for (size_t w = 0; w < nwanted; w++)
		if (!wanted[w].have_uid)
			printf("no trace of %s\n", argv[w + 3]);
	each_file(argv[2], carve);
	for (size_t w = 0; w < nwanted; w++)
		if (wanted[w].open) {
			printf("open %s\n", argv[w + 3]);
			n++;
		}
	printf("carved %zu places, %zu open\n", places, n);
	return 0;
}
