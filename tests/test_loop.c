#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "loop.h"

static struct loop *loop;
static char trace[64];
static struct loop_timer *victim;
static struct loop_io *ios[2];
static int idles;

static int
setup(void **state)
{
	(void)state;
	loop = loop_new();
	memset(trace, 0, sizeof(trace));
	victim = NULL;
	idles = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void
mark(void *arg)
{
	const char *s = arg;

	(void)strcat(trace, s);
	if (strchr(s, '.') != NULL)
		loop_stop(loop);
}

/* Soonest first; those of one moment in the order in which they were made. */
static void
timers_order(void **state)
{
	(void)state;
	loop_timer_new(loop, 30, mark, (char *)".");
	loop_timer_new(loop, 10, mark, (char *)"b");
	loop_timer_new(loop, 20, mark, (char *)"d");
	loop_timer_new(loop, 10, mark, (char *)"c");
	loop_timer_new(loop, 0, mark, (char *)"a");
	loop_run(loop);
	assert_string_equal(trace, "abcd.");
}

static void
cancel(void *arg)
{
	(void)arg;
	loop_timer_free(victim);
	victim = NULL;
	mark((char *)"x");
}

/* A timer that is due already is cancelled by the one before it. */
static void
timers_cancel(void **state)
{
	(void)state;
	loop_timer_new(loop, 0, cancel, NULL);
	victim = loop_timer_new(loop, 0, mark, (char *)"v");
	loop_timer_new(loop, 0, mark, (char *)".");
	loop_run(loop);
	assert_string_equal(trace, "x.");
	loop_timer_free(NULL);
}

static void
again(void *arg)
{
	int *left = arg;

	mark((char *)"r");
	if (--*left > 0)
		loop_timer_new(loop, 0, again, left);
	else
		loop_stop(loop);
}

static void
timers_from_timers(void **state)
{
	int left = 3;

	(void)state;
	loop_timer_new(loop, 0, again, &left);
	loop_run(loop);
	assert_string_equal(trace, "rrr");
}

static void
idle_timer(void *arg)
{
	(void)arg;
	if (idles++ == 0)
		loop_timer_new(loop, 1, mark, (char *)"i.");
	else if (trace[0] != '\0')
		loop_stop(loop);
}

/* A timer made by the idle callback counts before the loop goes to sleep. */
static void
timer_from_idle(void **state)
{
	(void)state;
	loop_set_idle(loop, idle_timer, NULL);
	alarm(20);		/* a loop that sleeps for ever is ended */
	loop_run(loop);
	alarm(0);
	assert_string_equal(trace, "i.");
}

static void
free_both(uint32_t events, void *arg)
{
	(void)arg;
	assert_true((events & EPOLLIN) != 0);
	mark((char *)"e");
	loop_io_free(ios[0]);
	loop_io_free(ios[1]);
	loop_timer_new(loop, 0, mark, (char *)".");
}

/* Two descriptors are ready: whoever is first frees both, itself included. */
static void
free_inside(void **state)
{
	int p[2][2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(p[i]), 0);
		assert_int_equal(write(p[i][1], "x", 1), 1);
		ios[i] = loop_io_new(loop, p[i][0], EPOLLIN, free_both, NULL);
	}
	loop_run(loop);
	assert_string_equal(trace, "e.");
	for (int i = 0; i < 2; i++) {
		close(p[i][0]);
		close(p[i][1]);
	}
}

static void
on_ready(uint32_t events, void *arg)
{
	(void)events;
	(void)arg;
	mark((char *)"w");
	loop_io_events(ios[0], 0);
	loop_timer_new(loop, 5, mark, (char *)".");
}

/* What is not watched for is not delivered. */
static void
events_change(void **state)
{
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	ios[0] = loop_io_new(loop, p[1], 0, on_ready, NULL);
	loop_timer_new(loop, 5, mark, (char *)"a.");
	loop_run(loop);
	assert_string_equal(trace, "a.");
	loop_io_events(ios[0], EPOLLOUT);
	loop_run(loop);
	assert_string_equal(trace, "a.w.");
	loop_io_free(ios[0]);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(timers_order), T(timers_cancel), T(timers_from_timers),
		T(timer_from_idle), T(free_inside), T(events_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
