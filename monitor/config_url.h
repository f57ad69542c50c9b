/* Addresses in the configuration: listening sockets and providers' URLs. */
#ifndef MONITOR_CONFIG_URL_H
#define MONITOR_CONFIG_URL_H

#include "config.h"

/*
 * Parse "v4[:port]" or "[v6][:port]", numeric addresses only.  Returns NULL, or
 * what is wrong.
 */
const char *config_listen_parse(struct config_listen *l, const char *text);
/*
 * Parse http://host[:port][/path] or https://... (RFC 3986 without user
 * information, query, fragment, percent-encoding and dot segments).  Returns
 * NULL, or what is wrong; in both cases the caller frees u->host and u->path.
 */
const char *config_url_parse(struct config_url *u, const char *text);
/* Whether the host is a loopback address or "localhost". */
bool config_url_loopback(const struct config_url *u);

#endif
