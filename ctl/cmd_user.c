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

static int
set_state(char **argv, uint8_t state)
{
	struct m_av_user_state m = { .state = state,
	    .name = ctl_user_name(argv[1]) };

	return ctl_ask(MSG_av_user_state, &m);
}

int
cmd_user_enable(int argc, char **argv)
{
	(void)argc;
	return set_state(argv, 1);
}

int
cmd_user_disable(int argc, char **argv)
{
	(void)argc;
	return set_state(argv, 2);
}

int
cmd_user_remove(int argc, char **argv)
{
	struct m_av_user_remove m = { 0 };

	m.erase = ctl_flag(&argc, argv, "--erase", 1);
	m.name = ctl_user_name(argv[1]);
	return ctl_ask(MSG_av_user_remove, &m);
}
