/*
 * What a test and its hostile processes share: a file that each of them maps
 * before its sandbox closes.  It says which attempts to make, gives out their
 * numbers, and takes the results.
 */
#ifndef HOSTILE_BOARD_H
#define HOSTILE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attack.h"

#define BOARD_NAME	"board"	/* beside the program, in the roles' directory */
#define BOARD_MAX	16384	/* attempts */
#define BOARD_SECRETS	8
#define BOARD_SECRET	64	/* bytes */

/* Whose workers are hostile: others are served by honest ones meanwhile. */
#define HOSTILE_SOURCE	"127.0.0.2:"
#define HOSTILE_USER	"mallory"

/* Who is hostile in the program that maps the board. */
enum board_mode { MODE_NONE, MODE_KEX, MODE_TWIN, MODE_SESSION, MODE_ROLE };

/* What a hostile role does besides: -1, or less than 0 as a board's `what'. */
enum plan {
	PLAN_NEXT = -1,		/* whatever channel it uses next */
	PLAN_SIGNATURE = -2,	/* keyd signs something else */
	PLAN_NONCE = -3,	/* keyd tells the vault another nonce */
	PLAN_EDIT = -4,		/* the logger changes an old line */
	PLAN_DROP = -5,		/* the logger leaves out an old line */
	PLAN_BACK = -6		/* the logger writes to everybody's log socket */
};

enum board_result {
	RESULT_NONE,
	RESULT_BEGUN,		/* and killed meanwhile, if it stays so */
	RESULT_REFUSED,		/* the channel was closed */
	RESULT_TAKEN,		/* the channel lives on */
	RESULT_BREACH
};

struct board_attempt {
	_Atomic uint32_t	result;
	uint32_t		must_die;
	uint64_t		n;	/* session */
	char			name[96];
};

struct board {
	uint32_t		mode;
	uint32_t		first;	/* MODE_ROLE: which attempt */
	_Atomic uint32_t	armed;	/* MODE_ROLE: make it now */
	int32_t			what;	/* MODE_ROLE: a channel, or a plan */
	_Atomic uint32_t	next;
	_Atomic uint32_t	total;	/* 0: no attempt was made yet */
	struct {
		uint32_t	n;
		uint8_t		p[BOARD_SECRET];
	}			secret[BOARD_SECRETS];
	uint32_t		nsecrets;
	uint8_t			conv[16];	/* somebody else's */
	uint32_t		spki_n, wrap_n;	/* a user's public keys */
	uint8_t			spki[1024], wrap[1024];
	uint32_t		auth_n;	/* an xv_auth that was granted */
	uint8_t			auth[MSG_MAX_BYTES];
	struct board_attempt	at[BOARD_MAX];
};

/* Map the one beside a hostile program, which is argv0. */
struct board *board_beside(const char *argv0);
/* Map the file; fatal on failure. */
struct board *board_open(const char *path, bool create);
/* The next attempt's number, or -1 when there are total already. */
int64_t board_next(struct board *b, size_t total);
/* Attempt i begins, in the name of session n. */
void board_begin(struct board *b, size_t i, uint64_t n, bool must_die,
    const char *name);
void board_end(struct board *b, size_t i, enum board_result r);
/* Whether bytes contain a planted secret. */
bool board_leak(const struct board *b, const void *p, size_t n);
/*
 * Read what comes on fd until its end (REFUSED) or until nothing came for
 * wait_ms (TAKEN); BREACH when a reply has a secret.
 */
enum board_result board_listen(const struct board *b, int fd, int wait_ms);

#endif
