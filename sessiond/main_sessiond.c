#include "role.h"
#include "sessiond.h"

int
main(int argc, char **argv)
{
	static struct role self;

	role_start(&self, ROLE_SESSIOND, argc, argv, NULL);
	sessiond_init(&self);
	role_run(&self);
}
