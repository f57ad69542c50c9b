#include "ctl.h"

int
cmd_storage_rotate_key(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl_ask(MSG_av_rotate, NULL);
}

int
cmd_storage_shred(int argc, char **argv)
{
	struct m_av_shred m = { .force = ctl_flag(&argc, argv, "--force", 0) };

	return ctl_ask(MSG_av_shred, &m);
}

int
cmd_storage_verify(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ctl.patient = true;
	return ctl_ask(MSG_av_verify, NULL);
}
