/*
 * cloisterctl: administration over the service's UNIX socket.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "log.h"

/* Take --json out, wherever it stands before a "--"; the new argc. */
static int
take_json(int argc, char **argv)
{
	int n = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (i < argc)
				argv[n++] = argv[i++];
			break;
		}
		if (strcmp(argv[i], "--json") == 0)
			ctl.json = true;
		else
			argv[n++] = argv[i];
	}
	argv[n] = NULL;
	return n;
}

int
main(int argc, char **argv)
{
	const struct ctl_command *cmd;
	int c, r, words;

	log_set_name("cloisterctl");
	argc = take_json(argc, argv);
	while ((c = getopt(argc, argv, "+f:L:")) != -1) {
		switch (c) {
		case 'f':
			ctl.conf_path = optarg;
			break;
		case 'L':
			ctl.libexec = optarg;
			break;
		default:
			ctl_usage(NULL);
		}
	}
	argc -= optind;
	argv += optind;
	if ((cmd = ctl_find(argc, argv, &words)) == NULL)
		ctl_usage(NULL);
	ctl.command = cmd;
	argc -= words - 1;
	argv += words - 1;
	if (argc - 1 < cmd->min || (cmd->max != -1 && argc - 1 > cmd->max))
		ctl_usage(cmd);
	if ((cmd->flags & CTL_OFFLINE) == 0)
		ctl_config();
	optind = 0;	/* glibc: from the beginning */
	if ((r = cmd->run(argc, argv)) == CTL_USAGE)
		ctl_usage(cmd);
	if (out_finish() == -1 && r == CTL_OK)
		r = CTL_FAILED;
	return r;
}
