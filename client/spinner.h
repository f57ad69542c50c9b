/*
 * What a user sees while nothing comes: a turning mark and the seconds, on
 * standard error when that is a terminal that takes attributes.
 */
#ifndef CLIENT_SPINNER_H
#define CLIENT_SPINNER_H

/* Start; fatal without a timer. */
void spinner_start(void);
/* The descriptor to poll, or -1 when it does not turn. */
int spinner_fd(void);
/* The descriptor is readable: turn. */
void spinner_turn(void);
/* Take it off the screen; without effect when it does not turn. */
void spinner_stop(void);

#endif
