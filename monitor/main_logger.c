/*
 * logger: writes the tamper-evident audit log.
 */
#include "logger.h"
#include "warmup.h"

static void
prepare(struct role *r)
{
	crypto_warmup();
	oplog_open(role_file_fd(ROLE_LOGGER, r->providers, FILE_JOURNAL));
}

int
main(int argc, char **argv)
{
	static struct role self;

	self.on_stop = logger_stop;
	role_start(&self, ROLE_LOGGER, argc, argv, prepare);
	logger_open(&self);
	logger_serve(&self);
	role_run(&self);
}
