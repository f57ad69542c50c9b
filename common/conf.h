/*
 * Reading a libconfuse file so that every complaint names FILE:LINE, also those
 * that can be made only when the whole file has been read.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <sys/types.h>

#include <confuse.h>
#include <stddef.h>

#include "bytes.h"
#include "kdf.h"

#define CONF_FILE_MAX	(1024 * 1024)	/* bytes of a file */

struct conf_mark;

struct conf {
	const char		*path;		/* borrowed */
	char			*err;		/* borrowed: the complaint */
	size_t			 errlen;
	cfg_t			*cfg;		/* the parsed file */
	struct conf_mark	*marks;		/* where each option was set */
	size_t			 nmarks;
	uint8_t			 sha256[HASH_LEN];	/* of the file */
};

/*
 * Open path read-only, close-on-exec, never waiting, and check on the
 * descriptor that it is a regular file, of root or the caller, and that group
 * and others have none of the permissions in forbidden (022, 077).  Returns the
 * descriptor, or -1 with err set and errno (ENOENT when there is no file).
 */
int conf_open(const char *path, mode_t forbidden, char *err, size_t errlen);
/*
 * Append the whole file to b, which bounds it; text only: UTF-8 without control
 * characters other than tab and newline.  Closes fd.  Returns 0 or -1 with err.
 */
int conf_read(int fd, const char *path, struct buf *b, char *err,
    size_t errlen);

/*
 * conf_open(path, 022), conf_read() and parse by opts (without libconfuse's
 * ${VARIABLE}, which is an error outside of single quotes), whose validating
 * callbacks it sets itself.  An option that is set twice is an error, so is a
 * section without CFGF_MULTI.  A list in a section must have no default.
 * Returns 0, or -1 with err (and errno ENOENT when there is no file).  In both
 * cases the caller calls conf_free().  path and err must outlive c.
 */
int conf_load(struct conf *c, const char *path, cfg_opt_t *opts, char *err,
    size_t errlen);
void conf_free(struct conf *c);
/*
 * The line where the option of section sec was set (a list: its first value),
 * or, when it was not, where the section ends.
 */
int conf_line(const struct conf *c, cfg_t *sec, const char *name);
/* Whether the file sets the option of section sec. */
bool conf_isset(const struct conf *c, cfg_t *sec, const char *name);
/*
 * Complain about an option of sec (or, name NULL, about sec) unless there is a
 * complaint already.  Returns -1.
 */
__attribute__((format(printf, 4, 5)))
int conf_fail(struct conf *c, cfg_t *sec, const char *name, const char *fmt,
    ...);

#endif
