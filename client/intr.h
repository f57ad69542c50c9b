/*
 * Interrupts (^C) as something to poll for: the handler only writes a byte into
 * a pipe.  Outside of intr_start() ... intr_stop() ^C ends the program.
 */
#ifndef CLIENT_INTR_H
#define CLIENT_INTR_H

/* From now on ^C makes intr_fd() readable.  Fatal when there is no pipe. */
void intr_start(void);
/* Back to the default; without effect when not started. */
void intr_stop(void);
/* The descriptor to poll, or -1 when not started. */
int intr_fd(void);
/* Forget the interrupts so far. */
void intr_clear(void);

#endif
