#include "ctl.h"

int
cmd_session_list(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_session_list, NULL);
}

int
cmd_session_kill(int argc, char **argv)
{
	struct m_av_session_kill m = { .which = ctl_user_name(argv[1]) };

	(void)argc;
	return ctl_ask(MSG_av_session_kill, &m);
}
