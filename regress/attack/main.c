/*
 * attack: tries one of the numbered attacks (regress/attacks.tbl).
 *
 *	attack NUMBER PORT PIN ALICE BOB MALLORY
 *
 * PORT is the server's on 127.0.0.1, PIN the hash of its key in hex, the others
 * are clients' directories; BUILD is $B.  Prints "breach: ..." for each try that
 * did not end as it must, and one line
 *
 *	count attack NUMBER: N tries, M succeeded
 *
 * Exit 0 when there were tries and no breach.
 */
#include "attack.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "role.h"
#include "warmup.h"

struct world world;

static unsigned tries, breaches;

static const struct {
	int	number;
	void	(*run)(void);
} attacks[] = {
	{ 1, attack_random_bytes },
	{ 2, attack_mac1 },
	{ 3, attack_replayed_ch },
	{ 4, attack_one_source },
	{ 5, attack_strip_suite },
	{ 6, attack_sh_not_offered },
	{ 7, attack_flip },
	{ 8, attack_low_order },
	{ 9, attack_mlkem },
	{ 10, attack_swap_shares },
	{ 11, attack_server_key },
	{ 12, attack_relay_ca },
	{ 13, attack_reflect },
	{ 14, attack_old_signature },
	{ 15, attack_other_wrap },
	{ 16, attack_unknown },
	{ 17, attack_rsa_keys },
	{ 18, attack_contexts },
	{ 19, attack_oaep },
	{ 24, attack_order },
	{ 25, attack_records },
	{ 26, attack_rekey },
	{ 27, attack_old_epoch },
	{ 28, attack_inside },
	{ 29, attack_truncate },
	{ 34, attack_recording },
	{ 37, attack_half_open },
	{ 39, attack_randoms }
};

void
tried(bool held, const char *fmt, ...)
{
	va_list ap;

	tries++;
	if (held)
		return;
	breaches++;
	printf("breach: ");
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void
load(struct user *u, const char *home)
{
	struct buf b = BUF_INIT(KEYD_FILE_MAX);
	char path[1024];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/id_cloister", home);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1 ||
	    read_all(fd, &b) == -1 ||
	    keyd_keys_decode(u->key, buf_bytes(&b), NULL) != 0)
		fatalx("%s cannot be read", path);
	u->home = home;
	for (int i = 0; i < KEYD_KEYS; i++) {
		buf_init(&u->spki[i], RSA_SPKI_MAX);
		if (rsa_spki_encode(&u->spki[i], u->key[i]) == -1)
			fatalx("%s: a key cannot be encoded", path);
	}
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	int number = argc == 7 ? atoi(argv[1]) : 0;
	void (*run)(void) = NULL;

	log_set_name("attack");
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (attacks[i].number == number)
			run = attacks[i].run;
	world.bin = getenv("B");
	if (run == NULL || world.bin == NULL)
		fatalx("usage: B=DIR attack number port pin alice bob mallory");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		fatal("signal");
	crypto_warmup();
	world.port = atoi(argv[2]);
	if (hex_decode(world.pin, HASH_LEN, argv[3]) == -1)
		fatalx("not a pin: %s", argv[3]);
	load(&world.alice, argv[4]);
	load(&world.bob, argv[5]);
	load(&world.mallory, argv[6]);
	run();
	printf("count attack %d: %u tries, %u succeeded\n", number, tries,
	    breaches);
	return tries > 0 && breaches == 0 ? 0 : 1;
}
