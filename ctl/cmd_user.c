#include "ctl.h"

int
cmd_user_add(int argc, char **argv)
{
	struct m_av_user_add m = { .name = ctl_user_name(argv[1]) };

	(void)argc;
	return ctl_ask(MSG_av_user_add, &m);
}

int
cmd_user_list(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_user_list, NULL);
}
