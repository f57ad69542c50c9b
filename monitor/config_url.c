/* Addresses in the configuration: listening sockets and providers' URLs. */
#include "config_url.h"

#include <netinet/in.h>
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX	253	/* RFC 1035, 2.3.4, as text */
#define PATH_MAX_BYTES	1024	/* as ctl_upstream has it */

/* A port of 1 to 5 digits, 1 to 65535, or -1. */
static int
parse_port(const char *s)
{
	const char *e;
	long long n;

	if (s[0] < '0' || s[0] > '9')
		return -1;
	n = strtonum(s, 1, UINT16_MAX, &e);
	return e == NULL ? (int)n : -1;
}

/*
 * Split "host", "host:port", "[v6]" or "[v6]:port"; port is 0 when there is
 * none.  Copies the host without brackets.  0 or -1.
 */
static int
split_host(const char *s, char host[HOST_MAX + 1], bool *bracket, int *port)
{
	const char *end;
	size_t len;

	*bracket = s[0] == '[';
	if (*bracket) {
		s++;
		if ((end = strchr(s, ']')) == NULL)
			return -1;
		len = (size_t)(end - s);
		end++;
	} else {
		len = strcspn(s, ":");
		end = s + len;
	}
	if (len == 0 || len > HOST_MAX)
		return -1;
	memcpy(host, s, len);
	host[len] = '\0';
	*port = 0;
	if (*end == '\0')
		return 0;
	if (*end != ':' || (*port = parse_port(end + 1)) == -1)
		return -1;
	return 0;
}

const char *
config_listen_parse(struct config_listen *l, const char *text)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&l->addr;
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&l->addr;
	char host[HOST_MAX + 1], num[INET6_ADDRSTRLEN];
	bool bracket;
	int port, n;

	memset(l, 0, sizeof(*l));
	if (split_host(text, host, &bracket, &port) == -1)
		return "not ADDRESS:PORT or [ADDRESS]:PORT";
	if (port == 0)
		port = CONFIG_PORT;
	if (bracket) {
		if (inet_pton(AF_INET6, host, &sin6->sin6_addr) != 1)
			return "not a numeric IPv6 address";
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons((uint16_t)port);
		l->addrlen = sizeof(*sin6);
		inet_ntop(AF_INET6, &sin6->sin6_addr, num, sizeof(num));
		n = snprintf(l->text, sizeof(l->text), "[%s]:%d", num, port);
	} else {
		if (inet_pton(AF_INET, host, &sin->sin_addr) != 1)
			return "not a numeric address (IPv6 needs brackets)";
		sin->sin_family = AF_INET;
		sin->sin_port = htons((uint16_t)port);
		l->addrlen = sizeof(*sin);
		n = snprintf(l->text, sizeof(l->text), "%s:%d", host, port);
	}
	return n > 0 && (size_t)n < sizeof(l->text) ? NULL : "too long";
}

/*
 * An IPv4 address, or a name: letters, digits, '-', '_' and '.', no empty label
 * (RFC 1123, 2.1).  A last label of digits alone would be read as an address by
 * some resolvers.
 */
static bool
host_name_ok(const char *s)
{
	const char *dot = strrchr(s, '.');
	struct in_addr a4;
	char last = '.';

	if (inet_pton(AF_INET, s, &a4) == 1)
		return true;
	dot = dot != NULL ? dot + 1 : s;
	if (strspn(dot, "0123456789") == strlen(dot))
		return false;
	for (; *s != '\0'; last = *s++) {
		bool alnum = (*s >= 'a' && *s <= 'z') ||
		    (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');

		if (!alnum && *s != '.' && *s != '-' && *s != '_')
			return false;
		if (last == '.' && (*s == '.' || *s == '-'))
			return false;
	}
	return last != '.' && last != '-';
}

/* RFC 3986, 3.3, without percent-encoding and dot segments. */
static bool
path_ok(const char *s)
{
	const char *seg = s;

	for (;; s++) {
		if (*s == '/' || *s == '\0') {
			size_t n = (size_t)(s - seg);

			if ((n == 1 && seg[0] == '.') ||
			    (n == 2 && seg[0] == '.' && seg[1] == '.'))
				return false;
			seg = s + 1;
			if (*s == '\0')
				return true;
			if (*seg == '/')
				return false;
		} else if (strchr("abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		    "-._~!$&'()*+,;=:@", *s) == NULL)
			return false;
	}
}

const char *
config_url_parse(struct config_url *u, const char *text)
{
	char auth[HOST_MAX + 16], host[HOST_MAX + 1];
	struct in6_addr a6;
	size_t n;
	bool bracket;
	int port;

	memset(u, 0, sizeof(*u));
	if (strncmp(text, "https://", 8) == 0)
		u->tls = true;
	else if (strncmp(text, "http://", 7) != 0)
		return "must begin with http:// or https://";
	text += u->tls ? 8 : 7;
	if (strchr(text, '?') != NULL)
		return "must not have a query";
	if (strchr(text, '#') != NULL)
		return "must not have a fragment";
	n = strcspn(text, "/");
	if (n == 0 || n >= sizeof(auth))
		return "has no host, or one that is too long";
	memcpy(auth, text, n);
	auth[n] = '\0';
	if (strchr(auth, '@') != NULL)
		return "must not have a user or a password";
	if (split_host(auth, host, &bracket, &port) == -1)
		return "has a bad host or port";
	if (bracket ? inet_pton(AF_INET6, host, &a6) != 1 : !host_name_ok(host))
		return "has a bad host";
	text += n;
	n = strlen(text);
	while (n > 0 && text[n - 1] == '/')
		n--;
	if (n > PATH_MAX_BYTES)
		return "has a path that is too long";
	if ((u->path = strndup(text, n)) == NULL ||
	    (u->host = strdup(host)) == NULL)
		return "no memory";
	if (!path_ok(u->path))
		return "has a bad path";
	u->port = (uint16_t)(port != 0 ? port : u->tls ? 443 : 80);
	return NULL;
}

bool
config_url_loopback(const struct config_url *u)
{
	struct in_addr a4;
	struct in6_addr a6;

	if (inet_pton(AF_INET, u->host, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == IN_LOOPBACKNET;
	if (inet_pton(AF_INET6, u->host, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6) != 0;
	return strcasecmp(u->host, "localhost") == 0;
}
