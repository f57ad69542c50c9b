/*
 * What systemd and cloisterd tell each other (sd_notify(3), sd_listen_fds(3),
 * systemd.exec(5), Credentials), by our own hand: a datagram and three
 * environment variables are not worth a library in the monitor.  Without systemd
 * nothing here does anything.
 */
#ifndef MONITOR_NOTIFY_H
#define MONITOR_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Take NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment.
 * Call it once descriptors can be opened.
 */
void notify_init(void);
/*
 * Send "KEY=value" lines, e.g. "READY=1\nSTATUS=...".  What cannot be sent is
 * lost, with a line in the log: the service does not depend on who watches it.
 */
void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* How often WATCHDOG=1 is due at the latest, in milliseconds; 0: not wanted. */
uint64_t notify_watchdog_ms(void);

/*
 * Take the sockets that were passed (LISTEN_PID, LISTEN_FDS) out of the way, to
 * close-on-exec descriptors from min_fd on, and close everything else above
 * standard error.  Returns how many there are, at most max, in fds; fatal when
 * there are more.
 */
int activation_take(int *fds, int max, int min_fd);

#endif
