#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "exits.h"
#include "keyd_child.h"
#include "log.h"
#include "ui.h"

/* keyd alone reads the private keys: it takes the place of this process. */
int
cmd_csr(struct client *cl)
{
	char name[] = "keyd", csr[] = "--csr", user[] = "--user", err[512];
	char *argv[] = { name, csr, user, cl->args.words[0], NULL };
	char *program = keyd_program(&cl->conf);
	int fd;

	if ((fd = cconf_key_open(cl->key, err, sizeof(err))) == -1) {
		ui_err("%s", err);
		free(program);
		return RC_ERROR;
	}
	if (dup2(fd, STDIN_FILENO) == -1)
		fatal("dup2");
	ui_step("running %s --csr", program);
	(void)execv(program, argv);
	ui_err("cannot run %s: %s", program, strerror(errno));
	free(program);
	return RC_ERROR;
}
