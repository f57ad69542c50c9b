#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "args.h"
#include "exits.h"

static char err[256];
static char *copy[32];

/* Parse a NULL-terminated list after the program's name. */
static int
parse(struct args *a, const char *const *words)
{
	int n = 1;

	for (size_t i = 0; i < 32; i++) {
		free(copy[i]);
		copy[i] = NULL;
	}
	copy[0] = strdup("cloister");
	for (; words[n - 1] != NULL; n++)
		copy[n] = strdup(words[n - 1]);
	err[0] = '\0';
	return args_parse(a, n, copy, err, sizeof(err));
}

#define PARSE(a, ...) parse(a, (const char *const[]){ __VA_ARGS__, NULL })

static void
test_ask(void **state)
{
	struct args a;

	(void)state;
	assert_int_equal(PARSE(&a, "-v", "-H", "host:99", "ask", "-m", "big",
	    "-c", "--no-store", "two", "words"), 0);
	assert_int_equal(a.command, CMD_ASK);
	assert_true(a.verbose && a.cont && a.nostore);
	assert_string_equal(a.host, "host:99");
	assert_string_equal(a.model, "big");
	assert_null(a.cid);
	assert_int_equal(a.nwords, 2);
	assert_string_equal(a.words[0], "two");
	assert_string_equal(a.words[1], "words");
}

static void
test_output(void **state)
{
	struct args a;

	(void)state;
	assert_int_equal(PARSE(&a, "ask", "-f", "one", "--file=two", "--json",
	    "-u", "--no-stream", "--no-reasoning", "--plain", "w"), 0);
	assert_int_equal(a.nfiles, 2);
	assert_string_equal(a.files[0], "one");
	assert_string_equal(a.files[1], "two");
	assert_true(a.json && a.usage && a.nostream && a.noreasoning && a.plain);
	assert_false(a.extract);
	assert_int_equal(PARSE(&a, "ask", "-x", "w"), 0);
	assert_true(a.extract);
	assert_int_equal(PARSE(&a, "ask", "-x", "--json", "w"), -1);
	assert_int_equal(PARSE(&a, "chat", "-x"), -1);
	assert_int_equal(PARSE(&a, "chat", "--json"), -1);
	assert_int_equal(PARSE(&a, "chat", "-f", "x"), 0);
	assert_int_equal(PARSE(&a, "ask", "-f"), -1);
}

static void
test_asked_with(void **state)
{
	static const char *const bad[] = { "", "=", "temperature", "heat=1",
	    "temperature=", "temperature=2.001", "temperature=-1",
	    "temperature=nan", "temperature=1e0", "temperature=0x1",
	    "temperature=1.2.3", "temperature=.", "temperature=1 ",
	    "top_p=1.001", "max_tokens=0", "max_tokens=-1", "max_tokens=1.5",
	    "max_tokens=4294967296", "Temperature=1" };
	struct args a;
	char *big;

	(void)state;
	assert_int_equal(PARSE(&a, "ask", "w"), 0);
	assert_false(params_any(&a.params));
	assert_null(a.system);
	assert_int_equal(PARSE(&a, "chat", "-s", "be brief", "-t", "code",
	    "-o", "temperature=0", "-o", "top_p=.25", "--option",
	    "max_tokens=4294967295"), 0);
	assert_string_equal(a.system, "be brief");
	assert_string_equal(a.tmpl, "code");
	assert_int_equal(a.params.temperature, 1);
	assert_int_equal(a.params.top_p, 251);
	assert_true(a.params.max_tokens == UINT32_MAX);
	assert_int_equal(PARSE(&a, "ask", "-o", "temperature=2", "-o",
	    "temperature=0.7", "-o", "top_p=1", "w"), 0);
	assert_int_equal(a.params.temperature, 701);
	assert_int_equal(a.params.top_p, 1001);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (PARSE(&a, "ask", "-o", bad[i], "w") != -1)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(PARSE(&a, "list", "-s", "x"), -1);
	assert_int_equal(PARSE(&a, "ask", "-s", "\xff", "w"), -1);
	assert_non_null(big = malloc(65538));
	memset(big, 'a', 65537);
	big[65537] = '\0';
	assert_int_equal(PARSE(&a, "ask", "-s", big, "w"), -1);
	big[65536] = '\0';
	assert_int_equal(PARSE(&a, "ask", "-s", big, "w"), 0);
	free(big);
}

static void
test_options_after_words(void **state)
{
	struct args a;

	(void)state;
	assert_int_equal(PARSE(&a, "ask", "words", "--cid", "abcd"), 0);
	assert_string_equal(a.cid, "abcd");
	assert_int_equal(a.nwords, 1);
	assert_int_equal(PARSE(&a, "ask", "--", "-c", "--cid"), 0);
	assert_false(a.cont);
	assert_int_equal(a.nwords, 2);
	assert_string_equal(a.words[0], "-c");
	assert_int_equal(PARSE(&a, "ask"), 0);
	assert_int_equal(a.nwords, 0);
}

static void
test_others(void **state)
{
	struct args a;

	(void)state;
	assert_int_equal(PARSE(&a, "list", "-n", "7"), 0);
	assert_int_equal(a.command, CMD_LIST);
	assert_int_equal(a.limit, 7);
	assert_int_equal(PARSE(&a, "show", "12ab"), 0);
	assert_string_equal(a.words[0], "12ab");
	assert_int_equal(PARSE(&a, "keygen", "-N", "-k", "f"), 0);
	assert_true(a.nopass);
	assert_string_equal(a.key, "f");
	assert_int_equal(PARSE(&a, "chat"), 0);
	assert_int_equal(PARSE(&a, "models"), 0);
	assert_int_equal(PARSE(&a, "fingerprint"), 0);
	assert_int_equal(PARSE(&a, "ask", "--help"), 0);
	assert_int_equal(a.command, CMD_HELP);
	assert_int_equal(PARSE(&a, "-V"), 0);
	assert_int_equal(a.command, CMD_VERSION);
}

#define FAILS(text, ...) do {						\
	struct args a_;							\
	assert_int_equal(PARSE(&a_, __VA_ARGS__), -1);			\
	assert_non_null(strstr(err, text));				\
} while (0)

static void
test_errors(void **state)
{
	char *none[] = { copy[0], NULL };
	char longest[66];
	struct args a;

	(void)state;
	assert_int_equal(args_parse(&a, 1, none, err, sizeof(err)), -1);
	assert_string_equal(err, "no command");
	FAILS("unknown command aks", "aks", "x");
	FAILS("unknown option -Z", "ask", "-Z");
	FAILS("unknown option --nostore", "ask", "--nostore");
	FAILS("-m needs an argument", "ask", "-m");
	FAILS("--cid needs an argument", "ask", "--cid");
	FAILS("exclude", "ask", "-c", "--cid", "abcd");
	FAILS("`list' does not take -m", "list", "-m", "big");
	FAILS("`chat' does not take -N", "chat", "-N");
	FAILS("`list' does not take --no-store", "list", "--no-store");
	FAILS("usage: cloister show ID", "show");
	FAILS("usage: cloister show ID", "show", "1234", "5678");
	FAILS("usage: cloister chat", "chat", "hello");
	FAILS("-n 0", "list", "-n", "0");
	FAILS("-n x", "list", "-n", "x");
	FAILS("-m: not the name", "ask", "-m", "\xff");
	memset(longest, 'a', 65);
	longest[65] = '\0';
	FAILS("-m: not the name", "ask", "-m", longest);
	longest[64] = '\0';
	assert_int_equal(PARSE(&a, "ask", "-m", longest), 0);
}

/* --help names every exit code of the enum. */
static void
test_help(void **state)
{
	char *text = NULL, want[80];
	size_t n = 0;
	FILE *fp = open_memstream(&text, &n);

	(void)state;
	args_help(fp);
	(void)fclose(fp);
#define CHECK(name, code, words)					\
	(void)snprintf(want, sizeof(want), "%3d  %s\n", code, words);	\
	assert_non_null(strstr(text, want));
	CLIENT_EXITS(CHECK)
	assert_non_null(strstr(text, "-H, --host"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_asked_with),
		cmocka_unit_test(test_options_after_words),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
