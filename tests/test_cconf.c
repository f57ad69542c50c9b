/* client/cconf*.c: the client's directory and the files in it. */
#include <sys/stat.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../client/cconf.h"

static char dir[] = "/tmp/test_cconf.XXXXXX";
static char err[512];

static const char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
put_file(const char *name, const void *p, size_t n, mode_t mode)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, p, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int
load(struct cconf *c, const char *text)
{
	put_file("config", text, strlen(text), 0600);
	err[0] = '\0';
	return cconf_load(c, err, sizeof(err));
}

static void
test_server(void **state)
{
	static const struct {
		const char	*in, *host, *text;
		int		 port;
		bool		 numeric;
	} good[] = {
		{ "h", "h", "h:7464", 7464, false },
		{ "Ex-1.Example.ORG", "ex-1.example.org",
		    "ex-1.example.org:7464", 7464, false },
		{ "h:1", "h", "h:1", 1, false },
		{ "h:65535", "h", "h:65535", 65535, false },
		{ "127.0.0.1", "127.0.0.1", "127.0.0.1:7464", 7464, true },
		{ "127.0.0.1:99", "127.0.0.1", "127.0.0.1:99", 99, true },
		{ "::1", "::1", "[::1]:7464", 7464, true },
		{ "[::1]", "::1", "[::1]:7464", 7464, true },
		{ "[0:0::0:1]:99", "::1", "[::1]:99", 99, true },
		{ "2001:DB8::A", "2001:db8::a", "[2001:db8::a]:7464", 7464,
		    true },
	};
	static const char *const bad[] = { "", ":", ":1", "h:", "h:0",
	    "h:65536", "h:01", "h:+1", "h: 1", "h:1 ", "h:1x", "h:1:2", "[]",
	    "[::1", "[::1]1", "[::1]:", "[h]", "[127.0.0.1]", "a b", "a/b",
	    "u@h", ".h", "h.", "a..b", "-h", "h-", "h\n", "::g", "h\xc3\xa9" };
	struct cconf_server s;
	char longest[CCONF_HOST_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(cconf_server_parse(&s, good[i].in), 0);
		assert_string_equal(s.host, good[i].host);
		assert_string_equal(s.text, good[i].text);
		assert_int_equal(s.port, good[i].port);
		assert_int_equal(s.numeric, good[i].numeric);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cconf_server_parse(&s, bad[i]) != -1)
			fail_msg("accepted: \"%s\"", bad[i]);
	memset(longest, 'a', sizeof(longest));
	longest[CCONF_HOST_MAX] = '\0';
	assert_int_equal(cconf_server_parse(&s, longest), 0);
	assert_int_equal(strlen(s.text), CCONF_HOST_MAX + 5);
	longest[CCONF_HOST_MAX] = 'a';
	longest[CCONF_HOST_MAX + 1] = '\0';
	assert_int_equal(cconf_server_parse(&s, longest), -1);
}

static void
test_templates(void **state)
{
	static const char *const bad[] = {
		"template { }", "template '' { }", "template a { model = '' }",
		"template a { system = '' }", "template a { heat = 1 }",
		"template a { temperature = 2.1 }",
		"template a { max_tokens = 0 }",
		"template a { }\ntemplate a { }",
	};
	const struct cconf_template *t;
	struct cconf c;

	(void)state;
	assert_int_equal(load(&c, "history = no\ntemplate one {\n"
	    "model = fast\nsystem = \"be\nbrief\"\ntemperature = 0.5\n"
	    "top_p = 1\nmax_tokens = 20\n}\ntemplate 'two words' {\n}\n"), 0);
	assert_false(c.keep_history);
	assert_int_equal(c.ntmpl, 2);
	assert_non_null(t = cconf_template(&c, "one"));
	assert_string_equal(t->model, "fast");
	assert_string_equal(t->system, "be\nbrief");
	assert_int_equal(t->params.temperature, 501);
	assert_int_equal(t->params.top_p, 1001);
	assert_int_equal(t->params.max_tokens, 20);
	assert_non_null(t = cconf_template(&c, "two words"));
	assert_null(t->model);
	assert_false(params_any(&t->params));
	assert_null(cconf_template(&c, "three"));
	cconf_free(&c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (load(&c, bad[i]) != -1)
			fail_msg("accepted: %s", bad[i]);
}

static void
test_config(void **state)
{
	struct cconf c;
	char path[256];

	(void)state;
	/* No file: the defaults. */
	assert_int_equal(cconf_load(&c, err, sizeof(err)), 0);
	assert_string_equal(c.dir, dir);
	assert_false(c.has_server);
	assert_string_equal(c.key, in_dir("id_cloister"));
	assert_string_equal(c.known_servers, in_dir("known_servers"));
	assert_string_equal(c.history, in_dir("history"));
	assert_string_equal(c.last, in_dir("last"));
	assert_null(c.model);
	assert_null(c.keyd);
	assert_int_equal(c.ntmpl, 0);
	assert_true(c.keep_history);
	assert_int_equal(c.first_contact, CCONF_FIRST_ASK);
	cconf_free(&c);
	assert_int_equal(load(&c, "server = 'Host:99'\nkey = '/k/id'\n"
	    "model = fast\nfirst_contact = refuse\nkeyd = '/x/keyd'\n"), 0);
	assert_true(c.has_server);
	assert_string_equal(c.server.text, "host:99");
	assert_string_equal(c.key, "/k/id");
	assert_string_equal(c.model, "fast");
	assert_string_equal(c.keyd, "/x/keyd");
	assert_int_equal(c.first_contact, CCONF_FIRST_REFUSE);
	cconf_free(&c);
	assert_int_equal(setenv("HOME", "/home/u", 1), 0);
	assert_int_equal(load(&c, "key = '~/keys/id'"), 0);
	assert_string_equal(c.key, "/home/u/keys/id");
	cconf_free(&c);
	/* Without CLOISTER_HOME, below HOME; made when missing. */
	snprintf(path, sizeof(path), "%s/.config/cloister", dir);
	assert_int_equal(setenv("HOME", dir, 1), 0);
	assert_int_equal(unsetenv("CLOISTER_HOME"), 0);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), 0);
	assert_string_equal(c.dir, path);
	cconf_free(&c);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(in_dir(".config")), 0);
	assert_int_equal(setenv("CLOISTER_HOME", "relative", 1), 0);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), -1);
	assert_int_equal(setenv("CLOISTER_HOME", dir, 1), 0);
}

static void
test_config_mistakes(void **state)
{
	static const struct {
		const char	*text, *says;
	} t[] = {
		{ "\nserver = 'a b'\n", "config:2: server" },
		{ "#\n#\nserver = 'h:0'\n", "config:3: server" },
		{ "serve = h\n", "config:1: " },
		{ "server = h\nserver = i\n", "config:2: server is set twice" },
		{ "first_contact = maybe\n", "config:1: first_contact" },
		{ "keyd = keyd\n", "config:1: keyd" },
		{ "model = ''\n", "config:1: model" },
		{ "key = ''\n", "config:1: key" },
		{ "server = 'h\n", "config:" },
		{ "server = h\n\xff\n", "config:2: " },
	};
	struct cconf c;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(load(&c, t[i].text), -1);
		if (strstr(err, t[i].says) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", err, t[i].says);
		assert_null(c.dir);
	}
}

static void
test_permissions(void **state)
{
	struct cconf c;
	struct cconf_server s;
	uint8_t fp[CCONF_FP_BYTES] = { 0 };
	char id[CCONF_CONV_MAX + 1];
	int suite, fd;

	(void)state;
	put_file("config", "", 0, 0644);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), 0);
	cconf_free(&c);
	put_file("config", "", 0, 0620);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "can be written"));
	put_file("config", "", 0, 0602);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), -1);
	put_file("config", "", 0, 0600);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(cconf_load(&c, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "can be written"));
	assert_int_equal(chmod(dir, 0700), 0);

	assert_int_equal(cconf_load(&c, err, sizeof(err)), 0);
	assert_int_equal(cconf_server_parse(&s, "h"), 0);
	put_file("known_servers", "", 0, 0660);
	assert_int_equal(cconf_known_lookup(&c, &s, fp, &suite, err,
	    sizeof(err)), -1);
	assert_int_equal(cconf_known_add(&c, &s, fp, 1, err, sizeof(err)), -1);
	put_file("last", "", 0, 0606);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), -1);
	assert_int_equal(cconf_last_set(&c, &s, "x", err, sizeof(err)), -1);
	unlink(in_dir("known_servers"));
	unlink(in_dir("last"));
	cconf_free(&c);

	put_file("k", "secret", 6, 0600);
	fd = cconf_key_open(in_dir("k"), err, sizeof(err));
	assert_int_not_equal(fd, -1);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	for (mode_t m = 1; m < 0100; m <<= 1) {
		assert_int_equal(chmod(in_dir("k"), 0600 | m), 0);
		assert_int_equal(cconf_key_open(in_dir("k"), err, sizeof(err)),
		    -1);
		assert_non_null(strstr(err, "group or others"));
	}
	assert_int_equal(chmod(in_dir("k"), 0400), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(in_dir("k"), 12345, 0), 0);
		assert_int_equal(cconf_key_open(in_dir("k"), err, sizeof(err)),
		    -1);
	}
	unlink(in_dir("k"));
	assert_int_equal(cconf_key_open(in_dir("k"), err, sizeof(err)), -1);
	assert_int_equal(mkfifo(in_dir("k"), 0600), 0);
	assert_int_equal(cconf_key_open(in_dir("k"), err, sizeof(err)), -1);
	unlink(in_dir("k"));
}

static int
lookup(const struct cconf *c, const char *server, uint8_t first, int *suite)
{
	struct cconf_server s;
	uint8_t fp[CCONF_FP_BYTES] = { first };

	assert_int_equal(cconf_server_parse(&s, server), 0);
	return cconf_known_lookup(c, &s, fp, suite, err, sizeof(err));
}

static void
add(const struct cconf *c, const char *server, uint8_t first, int suite)
{
	struct cconf_server s;
	uint8_t fp[CCONF_FP_BYTES] = { first };

	assert_int_equal(cconf_server_parse(&s, server), 0);
	assert_int_equal(cconf_known_add(c, &s, fp, suite, err, sizeof(err)),
	    0);
}

#define FP0	"SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void
test_known(void **state)
{
	static const char *const bad[] = { "h", "h:7464", "h " FP0,
	    "H:7464 " FP0, "h:7464 " FP0 "A", "h:7464 SHA256:AAAA",
	    "h:7464 SHA512:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "h:7464 SHA256:=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	    "h:7464 " FP0 " suite3", "h:7464 " FP0 " suite2 x y",
	    "h:07464 " FP0, "\x01" };
	struct cconf c;
	struct stat st;
	uint8_t fp[CCONF_FP_BYTES] = { 0 };
	char text[CCONF_FP_TEXT], line[256];
	int suite;

	(void)state;
	assert_int_equal(load(&c, ""), 0);
	cconf_fingerprint(text, fp);
	assert_string_equal(text, FP0);
	for (size_t i = 0; i < sizeof(fp); i++)
		fp[i] = (uint8_t)(255 - i);
	cconf_fingerprint(text, fp);
	assert_string_equal(text,
	    "SHA256://79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA");

	assert_int_equal(lookup(&c, "h", 1, &suite), CCONF_UNKNOWN);
	add(&c, "h", 1, 1);
	assert_int_equal(stat(c.known_servers, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(lookup(&c, "h", 1, &suite), CCONF_MATCH);
	assert_int_equal(suite, 1);
	assert_int_equal(lookup(&c, "H:7464", 1, &suite), CCONF_MATCH);
	assert_int_equal(lookup(&c, "h", 2, &suite), CCONF_CHANGED);
	assert_int_equal(lookup(&c, "h:1", 1, &suite), CCONF_UNKNOWN);
	assert_int_equal(lookup(&c, "hh", 1, &suite), CCONF_UNKNOWN);
	add(&c, "[::1]:5", 3, 2);
	assert_int_equal(lookup(&c, "[0::1]:5", 3, &suite), CCONF_MATCH);
	assert_int_equal(suite, 2);
	/* Suite 2 later, and never back. */
	add(&c, "h", 1, 2);
	add(&c, "h", 1, 1);
	assert_int_equal(lookup(&c, "h", 1, &suite), CCONF_MATCH);
	assert_int_equal(suite, 2);
	/* A second key, the first still known; suite 2 goes with its key. */
	add(&c, "h", 2, 1);
	assert_int_equal(lookup(&c, "h", 2, &suite), CCONF_MATCH);
	assert_int_equal(suite, 1);
	assert_int_equal(lookup(&c, "h", 1, &suite), CCONF_MATCH);

	/* Comments, blanks, and a last line without its newline. */
	snprintf(line, sizeof(line), "# c\n\n \t\n  h:7464\t%s  ", FP0);
	put_file("known_servers", line, strlen(line), 0600);
	assert_int_equal(lookup(&c, "h", 0, &suite), CCONF_MATCH);
	add(&c, "i", 7, 1);
	assert_int_equal(lookup(&c, "h", 0, &suite), CCONF_MATCH);
	assert_int_equal(lookup(&c, "i", 7, &suite), CCONF_MATCH);
	/* What cannot be understood is not passed over. */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "h:7464 %s\n%s\n", FP0, bad[i]);
		put_file("known_servers", line, strlen(line), 0600);
		if (lookup(&c, "h", 0, &suite) != -1)
			fail_msg("accepted: %s", bad[i]);
		assert_non_null(strstr(err, "known_servers:2: "));
	}
	unlink(c.known_servers);
	cconf_free(&c);
}

/* A name that is hashed: by a known answer, and by none other than itself. */
static void
test_hashed(void **state)
{
#define SALT	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define MAC	"d5YcKVdJUy80g41OQBqfKzdtW5sdVAYwesjja2iRhLE="
	/* HMAC-SHA-256(00 01 .. 1f, "chat.example:7464") */
	static const char name[] = "|1|" SALT "|" MAC;
	static const char *const bad[] = { "|1|" SALT, "|1|" SALT "|",
	    "|2|" SALT "|" MAC, "|1|" SALT " " MAC, "|1|" SALT "|" MAC "=",
	    "|1|A" SALT "|" MAC, "|1||" MAC, "||" SALT "|" MAC,
	    /* two bits too many in the last digit */
	    "|1|AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=|" MAC };
	char line[512], other[sizeof(name)], kept[2][512];
	struct cconf c;
	FILE *fp;
	int suite;

	(void)state;
	assert_int_equal(load(&c, "hash_known_servers = yes\n"), 0);
	snprintf(line, sizeof(line), "%s %s suite2\n", name, FP0);
	put_file("known_servers", line, strlen(line), 0600);
	assert_int_equal(lookup(&c, "chat.example", 0, &suite), CCONF_MATCH);
	assert_int_equal(suite, 2);
	assert_int_equal(lookup(&c, "CHAT.example:7464", 0, &suite),
	    CCONF_MATCH);
	assert_int_equal(lookup(&c, "chat.example", 1, &suite), CCONF_CHANGED);
	assert_int_equal(lookup(&c, "chat.example:7465", 0, &suite),
	    CCONF_UNKNOWN);
	assert_int_equal(lookup(&c, "chat.exampl", 0, &suite), CCONF_UNKNOWN);
	/* Another digit of salt or MAC is another name, or none. */
	for (size_t i = 3; i < sizeof(name) - 1; i++) {
		memcpy(other, name, sizeof(name));
		other[i] = name[i] == 'A' ? 'B' : 'A';
		snprintf(line, sizeof(line), "%s %s\n", other, FP0);
		put_file("known_servers", line, strlen(line), 0600);
		assert_int_not_equal(lookup(&c, "chat.example", 0, &suite),
		    CCONF_MATCH);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "%s %s\n", bad[i], FP0);
		put_file("known_servers", line, strlen(line), 0600);
		if (lookup(&c, "chat.example", 0, &suite) != -1)
			fail_msg("accepted: %s", bad[i]);
	}
	/* What we write hides the name, each time behind another salt. */
	for (int i = 0; i < 2; i++) {
		unlink(c.known_servers);
		add(&c, "chat.example", 5, 1);
		assert_int_equal(lookup(&c, "chat.example", 5, &suite),
		    CCONF_MATCH);
		assert_non_null(fp = fopen(c.known_servers, "r"));
		assert_non_null(fgets(kept[i], sizeof(kept[i]), fp));
		fclose(fp);
		assert_memory_equal(kept[i], "|1|", 3);
		assert_null(strstr(kept[i], "chat"));
	}
	assert_memory_not_equal(kept[0], kept[1], 3 + 44);
	/* A name that stood there in clear is hashed where it stands. */
	snprintf(line, sizeof(line), "# of chat.example\nchat.example:7464 %s\n",
	    FP0);
	put_file("known_servers", line, strlen(line), 0600);
	assert_int_equal(cconf_known_hash(&c, err, sizeof(err)), 1);
	assert_int_equal(lookup(&c, "chat.example", 0, &suite), CCONF_MATCH);
	assert_non_null(fp = fopen(c.known_servers, "r"));
	while (fgets(line, sizeof(line), fp) != NULL)
		assert_null(strstr(line, "chat"));
	fclose(fp);
	unlink(c.known_servers);
	cconf_free(&c);
}

static void
test_last(void **state)
{
	struct cconf c;
	struct cconf_server s, t;
	struct stat st;
	char id[CCONF_CONV_MAX + 1], big[CCONF_CONV_MAX + 2];

	(void)state;
	assert_int_equal(load(&c, ""), 0);
	assert_int_equal(cconf_server_parse(&s, "h"), 0);
	assert_int_equal(cconf_server_parse(&t, "[::1]:9"), 0);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), 0);
	assert_int_equal(cconf_last_set(&c, &s, "abc", err, sizeof(err)), 0);
	assert_int_equal(cconf_last_set(&c, &t, "t-1_A", err, sizeof(err)), 0);
	assert_int_equal(cconf_last_set(&c, &s, "def", err, sizeof(err)), 0);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), 1);
	assert_string_equal(id, "def");
	assert_int_equal(cconf_last_get(&c, &t, id, err, sizeof(err)), 1);
	assert_string_equal(id, "t-1_A");
	assert_int_equal(stat(c.last, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, strlen("[::1]:9 t-1_A\nh:7464 def\n"));
	memset(big, 'a', sizeof(big));
	big[CCONF_CONV_MAX + 1] = '\0';
	assert_int_equal(cconf_last_set(&c, &s, big, err, sizeof(err)), -1);
	assert_int_equal(cconf_last_set(&c, &s, "", err, sizeof(err)), -1);
	assert_int_equal(cconf_last_set(&c, &s, "a b", err, sizeof(err)), -1);
	assert_int_equal(cconf_last_set(&c, &s, "a\nb", err, sizeof(err)), -1);
	big[CCONF_CONV_MAX] = '\0';
	assert_int_equal(cconf_last_set(&c, &s, big, err, sizeof(err)), 0);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), 1);
	assert_string_equal(id, big);
	put_file("last", "h:7464 a b\n", 11, 0600);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "last:1: "));
	/* A line that makes no sense does not outlive the next set. */
	put_file("last", "g:7464 abc-*\nexampl*#/[4 abc\n", 29, 0600);
	assert_int_equal(cconf_last_set(&c, &s, "new", err, sizeof(err)), 0);
	assert_int_equal(cconf_last_get(&c, &s, id, err, sizeof(err)), 1);
	assert_string_equal(id, "new");
	unlink(c.last);
	cconf_free(&c);
}

/* Random bytes in every file: an answer or an error, never a crash. */
static void
test_hostile(void **state)
{
	static const char soup[] = "h:7464 SHA256:=#\n\t\"'\\{}server last";
	uint8_t b[300];
	struct cconf c;
	struct cconf_server s;
	char id[CCONF_CONV_MAX + 1];
	int suite, r;

	(void)state;
	srandom(1);
	assert_int_equal(cconf_server_parse(&s, "h"), 0);
	for (int i = 0; i < 400; i++) {
		size_t n = (size_t)random() % sizeof(b);

		for (size_t j = 0; j < n; j++)
			b[j] = (i & 1) != 0 ? (uint8_t)random() :
			    (uint8_t)soup[(size_t)random() % sizeof(soup)];
		put_file("config", b, n, 0600);
		if (cconf_load(&c, err, sizeof(err)) == 0)
			cconf_free(&c);
		put_file("config", "", 0, 0600);
		assert_int_equal(cconf_load(&c, err, sizeof(err)), 0);
		put_file("known_servers", b, n, 0600);
		r = lookup(&c, "h", 0, &suite);
		assert_true(r == -1 || r == CCONF_UNKNOWN);
		put_file("last", b, n, 0600);
		r = cconf_last_get(&c, &s, id, err, sizeof(err));
		assert_true(r >= -1 && r <= 1);
		cconf_free(&c);
	}
	unlink(in_dir("known_servers"));
	unlink(in_dir("last"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_config_mistakes),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_hashed),
		cmocka_unit_test(test_last),
		cmocka_unit_test(test_hostile),
	};
	int rv;

	if (mkdtemp(dir) == NULL || setenv("CLOISTER_HOME", dir, 1) == -1)
		return 1;
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(in_dir("config"));
	rmdir(dir);
	return rv;
}
