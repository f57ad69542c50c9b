/* What cconf_files.c and cconf_known.c share; nobody else includes it. */
#ifndef CLIENT_CCONF_LOCAL_H
#define CLIENT_CCONF_LOCAL_H

#include "bytes.h"
#include "cconf.h"

#define WORDS_MAX	4

/* A line's words; a line with more than WORDS_MAX has n = WORDS_MAX + 1. */
struct words {
	char	*w[WORDS_MAX];
	int	 n;
	int	 line;
};

/*
 * The whole file, NUL-terminated, into b: 1; 0 when there is none; -1 with err.
 */
int cconf_read_file(const char *path, struct buf *b, char *err, size_t errlen);
/*
 * The next line that is neither empty nor a comment, from *pos on, cut into
 * words in place.  Start with w->line = 0.
 */
bool cconf_next_words(char **pos, struct words *w);
/* Write all at once and sync; 0 or -1 with errno. */
int cconf_write_sync(int fd, struct bytes b);
/* Make a directory's names durable; 0 or -1 with errno. */
int cconf_sync_dir(const char *dir);
/* Replace a file of the directory at once, and durably; 0 or -1 with err. */
int cconf_replace(const struct cconf *c, const char *path, struct bytes b,
    char *err, size_t errlen);

#endif
