/*
 * What the client says to its user, on standard error, and raw output.
 */
#ifndef CLIENT_UI_H
#define CLIENT_UI_H

#include "bytes.h"

/* -v: ui_step() speaks. */
void ui_set_verbose(bool on);
/*
 * Print "cloister: TEXT\n" on a line of its own; text from the other side in it
 * becomes harmless (text.h).  Newlines in it are kept.
 */
void ui_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* With -v, a step of what is going on. */
void ui_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Write all of b to fd; 0, or -1 with errno. */
int ui_write(int fd, struct bytes b);
/*
 * Write b to standard output: made harmless when that is a terminal, and byte for
 * byte when it is not.  0, or -1 after telling the user.
 */
int ui_out(struct bytes b);
/*
 * The same for what is harmless already and may have attributes (style.h): it is
 * written as it is.
 */
int ui_styled(struct bytes b);
/* End the line on standard output if it was left open; 0 or -1 like ui_out(). */
int ui_newline(void);
/*
 * Show what is beside the point (a model's reasoning): dim, on standard error, and
 * only if that is a terminal.  The next output of another kind ends it.
 */
void ui_aside(struct bytes b);
/* ui_out(), formatted. */
int ui_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * A time as text: local time for people; for programs (standard output is no
 * terminal) UTC as ISO 8601.
 */
#define UI_TIME		32
void ui_time(char text[UI_TIME], uint64_t us);
/* Whether standard output is a terminal that takes attributes (bold). */
bool ui_fancy(void);
/* The same for standard error. */
bool ui_fancy_err(void);

#endif
