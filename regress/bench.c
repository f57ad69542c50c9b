/*
 * bench: what the service's work costs.
 *
 *	bench limits				cryptography, fork
 *	bench store DIR				the store alone
 *	bench handshake SERVICE N		N by each of four clients
 *	bench resume SERVICE N			the same with tickets
 *	bench tls SERVICE N PORT DIR		at an HTTPS server, both ways
 *	bench spawn NAME SERVICE N COMMAND ...	by a program
 *	bench chat PORT N DIR			N turns of one client
 *	bench load PORT SERVICE K N		N turns of each of K sessions
 *	bench deltas PORT SERVICE K N		N hundred deltas to each of K
 *	bench idle SERVICE K			memory of K idle sessions
 *	bench cells fresh|used SERVICE		memory without sessions
 *	bench table FILE			the results of many rounds
 *
 * SERVICE is the pid of cloisterd, PORT the upstream's.  The client's directory
 * is $CLOISTER_HOME, as for cloister(1).  See bench.h.
 */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "warmup.h"

static int
number(const char *s)
{
	const char *why;
	int n = (int)strtonum(s, 1, 1 << 30, &why);

	if (why != NULL)
		fatalx("%s is %s", s, why);
	return n;
}

static unsigned
count(const char *s)
{
	return (unsigned)number(s);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	char **a = argv + 2;
	int n = argc - 2;

	log_set_name("bench");
	crypto_warmup();
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
	if (strcmp(what, "limits") == 0 && n == 0)
		bench_limits();
	else if (strcmp(what, "store") == 0 && n == 1)
		bench_store(a[0]);
	else if (strcmp(what, "handshake") == 0 && n == 2)
		bench_handshake(number(a[0]), count(a[1]));
	else if (strcmp(what, "resume") == 0 && n == 2)
		bench_resume(number(a[0]), count(a[1]));
	else if (strcmp(what, "tls") == 0 && n == 4)
		bench_tls(number(a[0]), count(a[1]), number(a[2]), a[3]);
	else if (strcmp(what, "spawn") == 0 && n > 3)
		bench_spawn(a[0], number(a[1]), count(a[2]), a + 3);
	else if (strcmp(what, "chat") == 0 && n == 3)
		bench_chat(number(a[0]), count(a[1]), a[2]);
	else if (strcmp(what, "load") == 0 && n == 4)
		bench_load(number(a[0]), number(a[1]), count(a[2]), count(a[3]));
	else if (strcmp(what, "deltas") == 0 && n == 4)
		bench_deltas(number(a[0]), number(a[1]), count(a[2]),
		    count(a[3]));
	else if (strcmp(what, "idle") == 0 && n == 2)
		bench_idle(number(a[0]), count(a[1]));
	else if (strcmp(what, "cells") == 0 && n == 2)
		bench_cells(a[0], number(a[1]));
	else if (strcmp(what, "table") == 0 && n == 1)
		return table_print(a[0]);
	else
		fatalx("usage: the head of regress/bench.c");
	if (fflush(stdout) != 0)
		fatal("standard output");
	return 0;
}
