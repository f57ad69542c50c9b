#include "ctl.h"

int
cmd_reload(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_reload, NULL);
}
