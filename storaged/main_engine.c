/*
 * engine: the store, behind a channel to the vault.  It holds ciphertext, no
 * key, and no descriptor but its own directory's.
 */
#include <poll.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "role.h"

#define CHECKPOINT_MS	30000			/* after the first write */
#define CHECKPOINT_LOG	((uint64_t)16 << 20)	/* bytes: in a quiet moment */
#define CHECKPOINT_MUST	((uint64_t)64 << 20)	/* bytes: in any */

static struct role self;
static struct kv *kv;
static struct kvs *server;
static struct chan *vault;
static struct loop_timer *timer;
static bool due;		/* the timer fired */

/* Make what is in memory a matter of the files alone, and leave. */
__attribute__((noreturn)) static void
leave(int status)
{
	enum kv_status st = KV_OK;

	if (kv != NULL && kv_seq(kv) > 0)
		st = kv_maint(kv, KV_CHECKPOINT);
	if (kv_close(kv) != KV_OK || st != KV_OK)
		fatalx("the store was not closed properly");
	_exit(status);
}

static void
on_stop(void)
{
	if (server != NULL)
		kvs_finish(server, vault);
	leave(0);
}

static void
on_closed(struct chan *c, const char *why, void *arg)
{
	if (why != NULL)
		role_link_lost(c, why, arg);
	if ((self.flags & START_OFFLINE) != 0)
		leave(0);
	/* Its death is the monitor's to report; a stop looks the same. */
	log_info("the vault is gone");
	leave(1);
}

static void
on_timer(void *arg)
{
	(void)arg;
	timer = NULL;
	due = true;
}

static void
on_request(struct chan *c, struct msg *m, void *arg)
{
	const char *why;

	if ((why = kvs_request(server, m)) != NULL)
		role_link_lost(c, why, arg);
	if (kvs_waiting(server) + chan_queued(c) > KVS_WAITING_MAX)
		chan_pause(c, true);
}

static bool
quiet(void)
{
	struct pollfd pfd = { .fd = chan_fd(vault), .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

static void
checkpoint(void)
{
	uint64_t log = kvs_log_bytes(server);

	if (log == 0)
		return;
	if (timer == NULL && !due)
		timer = loop_timer_new(self.loop, CHECKPOINT_MS, on_timer,
		    NULL);
	if (log < CHECKPOINT_MUST &&
	    ((log < CHECKPOINT_LOG && !due) || !quiet()))
		return;
	if (kv_maint(kv, KV_CHECKPOINT) != KV_OK)
		fatalx("the store failed");
	kvs_checkpointed(server);
	loop_timer_free(timer);
	timer = NULL;
	due = false;
}

/* The end of a round: one sync, the answers, then what can wait. */
static void
on_idle(void *arg)
{
	(void)arg;
	kvs_finish(server, vault);
	chan_pause(vault, chan_queued(vault) > KVS_WAITING_MAX);
	checkpoint();
}

static void
on_go(void)
{
	if ((self.flags & START_INIT) != 0 && kv_init(self.dir, NULL) != KV_OK)
		fatalx("the store cannot be made in %s", self.dir);
	kv = ((self.flags & START_CHECK) != 0 ? kv_restore : kv_open)(self.dir,
	    NULL);
	if (kv == NULL) {
		/* The vault may be told to stop before it sees that it is alone. */
		audit(EV_vault_refuse, 0, NULL, "the store in %s cannot be "
		    "opened", self.dir);
		fatalx("the store in %s cannot be opened", self.dir);
	}
	server = kvs_new(kv);
	vault = role_link(&self, LINK_VAULT_ENGINE, 0, VAULT_ENGINE_UP, 0,
	    on_request, on_closed, NULL);
	loop_set_idle(self.loop, on_idle, NULL);
}

int
main(int argc, char **argv)
{
	self.on_go = on_go;
	self.on_stop = on_stop;
	role_start(&self, ROLE_ENGINE, argc, argv, NULL);
	role_run(&self);
}
