/* A conversation into a file. */
#ifndef CLIENT_EXPORT_H
#define CLIENT_EXPORT_H

#include "client.h"

/*
 * Write the conversation into a new file (0600) that must not exist: as Markdown
 * when its name ends in .md, else as JSON that import takes.  What was begun is
 * removed when it fails.  Returns an exit code after telling the user.
 */
int export_file(struct conn *c, const uint8_t conv[CONV_LEN], const char *path);

#endif
