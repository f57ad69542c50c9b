/* common/events.c and audit() of common/log.c: names, fields, documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "events.h"
#include "log.h"
#include "role.h"

static char event_seen[64], text_seen[2048];

static void
keep(enum log_level level, const char *event, uint64_t session,
    const char *user, const char *text)
{
	(void)level;
	(void)session;
	(void)user;
	(void)snprintf(event_seen, sizeof(event_seen), "%s", event);
	(void)snprintf(text_seen, sizeof(text_seen), "%s", text);
}

static void
test_table(void **state)
{
	(void)state;
	for (int e = 0; e < EVENTS; e++) {
		const struct event_decl *d = &event_decls[e];
		size_t n = strlen(d->name);

		assert_true(n > 0 && n < 64);
		assert_int_equal(strspn(d->name,
		    "abcdefghijklmnopqrstuvwxyz.-"), n);
		assert_int_equal(event_find(d->name), e);
		assert_true(d->who != 0 && *d->fields != '\0' &&
		    *d->help != '\0');
	}
	assert_int_equal(event_find("auth.acept"), EVENTS);
	assert_int_equal(event_find(""), EVENTS);
}

static void
test_format(void **state)
{
	const char *p = text_seen, *volatile none = NULL;
	struct field f;

	(void)state;
	audit(EV_auth_accept, 1, "alice", "a=%s b=%u c=%d d=%d e=%x f=%zu "
	    "g=%llu h=%llx i=%lu j=%s", "x \"y\\z\" k=1\n\xc3\xa4", 7u, 8, -8,
	    255u, (size_t)9, 1ull << 63, 16ull, 3ul, none);
	assert_string_equal(event_seen, "auth.accept");
	assert_string_equal(text_seen, "a=\"x \\\"y\\\\z\\\" k=1???\" b=7 c=8 "
	    "d=\"-8\" e=\"0xff\" f=9 g=9223372036854775808 h=\"0x10\" i=3 "
	    "j=\"\"");
	assert_true(fields_ok(text_seen));
	assert_int_equal(fields_next(&p, &f), 1);
	assert_string_equal(f.name, "a");
	assert_false(f.is_num);
	assert_string_equal(f.text, "x \"y\\z\" k=1???");
	assert_int_equal(fields_next(&p, &f), 1);
	assert_true(f.is_num && f.num == 7);
	/* A number in a string stays a string. */
	audit(EV_auth_accept, 0, NULL, "model=%s", "12");
	assert_string_equal(text_seen, "model=\"12\"");
}

/* Another's words make no fields. */
static void
test_sentences(void **state)
{
	(void)state;
	audit(EV_violation, 0, NULL, "%s: broke=%d", "it", 1);
	assert_string_equal(text_seen, "it: broke=1");
	audit(EV_violation, 0, NULL, "%s", "user=\"bob\" key=1");
	assert_string_equal(text_seen, "\"user=\"bob\" key=1");
	assert_false(fields_ok(text_seen));
	audit(EV_violation, 0, NULL, "a=%s: more", "b");
	assert_string_equal(text_seen, "a=b: more");
}

/* Whatever the lengths, what is cut is still fields. */
static void
test_long(void **state)
{
	char s[1200];

	(void)state;
	for (size_t n = 0; n < sizeof(s); n++) {
		memset(s, n % 3 == 0 ? '"' : n % 3 == 1 ? '\\' : 'x', n);
		s[n] = '\0';
		audit(EV_auth_refuse, 0, NULL, "reason=%s source=%s key=%u", s,
		    s, 1u);
		assert_true(fields_ok(text_seen));
		assert_true(strlen(text_seen) < 1024);
		audit(EV_violation, 0, NULL, "%s", s);
		assert_true(strlen(text_seen) < 1024);
	}
}

static void
test_bad_texts(void **state)
{
	static const char *const bad[] = { "", " ", "a", "a=", "=1", "a=1 ",
	    "a=1  b=2", "a=\"", "a=\"x", "a=\"x\"y", "a=\"\\x\"", "a=\"\\",
	    "A=1", "1a=1", "a=-1", "a=1.5", "a=01", "a=18446744073709551616",
	    "a=1 a=2", "a=1\tb=2", "mac=1", "a=1 prev=\"x\"",
	    "abcdefghijklmnopqrstuvwxyzabcdef=1", "a=1,b=2" };
	char many[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(fields_ok(bad[i]));
	for (int i = 0; i < FIELDS_MAX; i++)
		(void)snprintf(many + strlen(many), sizeof(many) -
		    strlen(many), "%sa%d=1", i > 0 ? " " : "", i);
	assert_true(fields_ok(many));
	(void)strlcat(many, " b=1", sizeof(many));
	assert_false(fields_ok(many));
	assert_true(fields_ok("a=18446744073709551615 b_2=\"\""));
}

static void
who_text(uint32_t who, char *dst, size_t size)
{
	*dst = '\0';
	if (who == ~0u) {
		(void)strlcpy(dst, "any", size);
		return;
	}
	if ((who & 1u << ROLES) != 0)
		(void)strlcpy(dst, "cloisterd", size);
	for (int r = 0; r < ROLES; r++)
		if ((who & 1u << r) != 0)
			(void)snprintf(dst + strlen(dst), size - strlen(dst),
			    "%s%s", *dst != '\0' ? ", " : "",
			    role_decls[r].name);
}

/* docs/audit.md lists each event as it is declared, in order, and no other. */
static void
test_documented(void **state)
{
	char line[1024], want[1024], who[256];
	FILE *f = fopen("docs/audit.md", "r");
	bool table = false;
	int e = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "| event |", 9) == 0)
			table = true;
		if (!table || strncmp(line, "| `", 3) != 0)
			continue;
		assert_true(e < EVENTS);
		who_text(event_decls[e].who, who, sizeof(who));
		(void)snprintf(want, sizeof(want), "| `%s` | %s | %s | %s |\n",
		    event_decls[e].name, who, event_decls[e].fields,
		    event_decls[e].help);
		assert_string_equal(line, want);
		e++;
	}
	(void)fclose(f);
	assert_int_equal(e, EVENTS);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_bad_texts),
		cmocka_unit_test(test_documented),
	};
	char who[256];

	/* -l: the table for docs/audit.md. */
	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (int e = 0; e < EVENTS; e++) {
			who_text(event_decls[e].who, who, sizeof(who));
			printf("| `%s` | %s | %s | %s |\n",
			    event_decls[e].name, who, event_decls[e].fields,
			    event_decls[e].help);
		}
		return 0;
	}
	log_set_sink(keep);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
