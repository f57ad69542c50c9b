#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "ctl.h"
#include "link.h"
#include "log.h"

#define HOURS	48
#define WAIT_MS	30000

/*
 * How users reach this server: -a, public_address, or this machine's name with
 * the port of the first listener.
 */
static void
address(char text[LINK_SERVER_MAX + 1], const char *given)
{
	const char *port = strrchr(ctl.cfg.listen[0].text, ':');
	char host[256];

	if (given == NULL)
		given = ctl.cfg.public_address;
	if (given != NULL) {
		if (strlcpy(text, given, LINK_SERVER_MAX + 1) >
		    LINK_SERVER_MAX)
			fatalx("the address is too long");
		return;
	}
	if (gethostname(host, sizeof(host)) == -1)
		fatal("gethostname");
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(text, LINK_SERVER_MAX + 1, "%s%s", host,
	    port != NULL && strcmp(port, ":7464") != 0 ? port : "");
}

/* "90s", "30m", "48", "48h", "7d": seconds up to 30 days, or 0. */
static uint32_t
duration(const char *text)
{
	static const struct {
		char		unit;
		uint32_t	seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	uint32_t unit = 3600;
	char number[16];
	const char *why;
	size_t n;

	if (strlcpy(number, text, sizeof(number)) >= sizeof(number) ||
	    (n = strlen(number)) == 0)
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (number[n - 1] == units[i].unit) {
			unit = units[i].seconds;
			number[n - 1] = '\0';
			break;
		}
	unit *= (uint32_t)strtonum(number, 1, 30 * 86400 / unit, &why);
	return why == NULL ? unit : 0;
}

static void
show(const struct m_va_invite *m, const char *given)
{
	char text[LINK_MAX];
	struct link l;

	memset(&l, 0, sizeof(l));
	address(l.server, given);
	memcpy(l.fp, m->host_hash, sizeof(l.fp));
	memcpy(l.code, m->code, sizeof(l.code));
	if (link_format(text, &l) == -1)
		fatalx("the address is too long");
	out_begin("invite");
	out_str("link", NULL, 0, text);
	out_time("expires", "until", m->expires_us);
	out_end();
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(&l, sizeof(l));
}

int
cmd_invite(int argc, char **argv)
{
	struct m_av_invite q = { .seconds = HOURS * 3600 };
	const char *given = NULL, *why;
	int c, r;
	struct chan *ch;
	struct msg m;

	optind = 0;
	while ((c = getopt(argc, argv, "+a:t:")) != -1) {
		switch (c) {
		case 'a':
			given = optarg;
			break;
		case 't':
			if ((q.seconds = duration(optarg)) != 0)
				break;
			out_error("-t: not a time up to 30 days, like 48h, 30m "
			    "or 7d");
			return CTL_USAGE;
		default:
			return CTL_USAGE;
		}
	}
	if (optind + 1 != argc) {
		out_error("whom? say one user's name");
		return CTL_USAGE;
	}
	q.user = ctl_user_name(argv[optind]);
	ch = ctl_dial();
	if (chan_send(ch, MSG_av_invite, &q, -1) == -1)
		fatalx("the service went away");
	if ((r = chan_recv(ch, &m, WAIT_MS, &why)) == 0 &&
	    m.type == MSG_va_invite) {
		show(&m.u.va_invite, given);
		r = ctl_answers(ch);
	} else if (r == 0 && m.type == MSG_va_error) {
		out_error("%.*s", (int)m.u.va_error.text.n,
		    (const char *)m.u.va_error.text.p);
		r = CTL_FAILED;
	} else {
		out_error("no answer");
		r = CTL_NO_SERVICE;
	}
	chan_free(ch);
	return r;
}
