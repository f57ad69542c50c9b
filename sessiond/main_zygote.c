#include "role.h"
#include "zygote.h"

int
main(int argc, char **argv)
{
	static struct role self;

	role_start(&self, ROLE_ZYGOTE, argc, argv, zygote_prepare);
	zygote_init(&self);
	role_run(&self);
}
