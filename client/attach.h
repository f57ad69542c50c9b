/* Files that go along with a prompt. */
#ifndef CLIENT_ATTACH_H
#define CLIENT_ATTACH_H

#include "bytes.h"

/*
 * Append the file, which must be text in UTF-8, to the prompt: its name and its
 * content in a fence that no line in it can close.  An exit code.
 */
int attach_file(struct buf *prompt, const char *path);

#endif
