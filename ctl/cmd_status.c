#include "ctl.h"

int
cmd_status(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_status, NULL);
}
