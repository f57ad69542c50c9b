/* monitor/config.c: what loads, and that each mistake is named by its line. */
#include <sys/stat.h>

#include <netinet/in.h>

#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../monitor/config.h"
#include "mlkem.h"

#ifndef SAMPLE
#define SAMPLE "dist/cloisterd.conf.sample"
#endif

static char path[] = "/tmp/test_config.XXXXXX";
static char err[512];

/* The users of an installed system: _cloister-ROLE, and alice. */
struct passwd *
getpwnam(const char *name)
{
	static struct passwd pw;

	memset(&pw, 0, sizeof(pw));
	for (int i = 0; i < CONFIG_ROLES; i++)
		if (strncmp(name, "_cloister-", 10) == 0 &&
		    strcmp(name + 10, config_role_name(i)) == 0) {
			pw.pw_uid = 900 + (uid_t)i;
			pw.pw_gid = 800 + (gid_t)i;
			return &pw;
		}
	if (strcmp(name, "alice") == 0) {
		pw.pw_uid = 1000;
		pw.pw_gid = 1001;
		return &pw;
	}
	return strcmp(name, "root") == 0 ? &pw : NULL;
}

static void
write_file(const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static int
load(struct server_config *cfg, const char *text)
{
	write_file(text, strlen(text));
	return config_load(path, cfg, err, sizeof(err));
}

#define HEAD	"state_dir = '/s'\n"
#define PROV	"provider p { url = 'http://127.0.0.1:8080/v1' }\n"
#define MODEL	"model m { provider = p upstream = u }\n"

#if MLKEM_BUILT
#define PQ	"require_pq = yes\n"
#else
#define PQ	"require_pq = no\n"
#endif

static const char good[] =
    "# comment\n"
    "listen = { '127.0.0.1', \"[::1]:99\" }\n"
    "state_dir = \"/srv/c\"\n"
    "control_socket = /run/x\n"
    "control_group = '77'\n"
    "log_level = debug\n"
    "first_contact = no\n"
    PQ
    "shaping = bucket\n"
    "roles { logger = '5001' keyd = '5002:6002'\n"
    " vault = alice llmproxy = '7000' }\n"
    "model fast { provider = b upstream = 'org/m:1' max_tokens = 9\n"
    "  temperature = 0.7 }\n"
    "model slow { provider = a upstream = x system = \"a\\nb\"\n"
    "  default = true fallback = fast tokens_per_day = 5000000000 }\n"
    "provider a { url = 'https://api.example.org/v1/' key_file = '/k'\n"
    "  ca_file = '/ca' connect_timeout = 3 }\n"
    "provider b { url = 'http://[::1]' }\n"
    "provider c { url = 'http://localhost:81/x/y' user = '7100'\n"
    "  type = ollama }\n"
    "limits { max_connections = 7 spare_workers = 0\n"
    "  requests_per_minute = 30 tokens_per_month = 9 }\n";

static void
test_good(void **state)
{
	struct server_config c;
	struct sockaddr_in *sin;
	struct sockaddr_in6 *sin6;

	(void)state;
	assert_int_equal(load(&c, good), 0);
	assert_int_equal(c.nlisten, 2);
	assert_string_equal(c.listen[0].text, "127.0.0.1:7464");
	assert_string_equal(c.listen[1].text, "[::1]:99");
	sin = (struct sockaddr_in *)&c.listen[0].addr;
	assert_int_equal(sin->sin_family, AF_INET);
	assert_int_equal(ntohl(sin->sin_addr.s_addr), 0x7f000001);
	assert_int_equal(ntohs(sin->sin_port), 7464);
	sin6 = (struct sockaddr_in6 *)&c.listen[1].addr;
	assert_int_equal(sin6->sin6_family, AF_INET6);
	assert_int_equal(ntohs(sin6->sin6_port), 99);
	assert_int_equal(c.listen[1].addrlen, sizeof(*sin6));
	assert_string_equal(c.state_dir, "/srv/c");
	assert_string_equal(c.control_socket, "/run/x");
	assert_int_equal(c.control_group, 77);
	assert_int_equal(c.log_level, LOG_L_DEBUG);
	assert_false(c.first_contact);
	assert_int_equal(c.require_pq, MLKEM_BUILT);
	assert_int_equal(c.shaping, SHAPE_BUCKET);
	assert_int_equal(c.user[CONFIG_LOGGER].uid, 5001);
	assert_int_equal(c.user[CONFIG_LOGGER].gid, 5001);
	assert_int_equal(c.user[CONFIG_KEYD].gid, 6002);
	assert_int_equal(c.user[CONFIG_VAULT].uid, 1000);
	assert_int_equal(c.user[CONFIG_VAULT].gid, 1001);
	assert_int_equal(c.nproviders, 3);
	assert_true(c.providers[0].url.tls);
	assert_string_equal(c.providers[0].url.host, "api.example.org");
	assert_int_equal(c.providers[0].url.port, 443);
	assert_string_equal(c.providers[0].url.path, "/v1");
	assert_string_equal(c.providers[0].key_file, "/k");
	assert_string_equal(c.providers[0].ca_file, "/ca");
	assert_int_equal(c.providers[0].connect_timeout, 3);
	assert_int_equal(c.providers[0].first_byte_timeout, 600);
	assert_int_equal(c.providers[0].user.uid, 7000);
	assert_false(c.providers[1].url.tls);
	assert_string_equal(c.providers[1].url.host, "::1");
	assert_int_equal(c.providers[1].url.port, 80);
	assert_string_equal(c.providers[1].url.path, "");
	assert_null(c.providers[1].key_file);
	assert_int_equal(c.providers[1].user.uid, 7001);
	assert_int_equal(c.providers[1].user.gid, 7001);
	assert_int_equal(c.providers[2].user.uid, 7100);
	assert_string_equal(c.providers[2].url.path, "/x/y");
	assert_int_equal(c.nmodels, 2);
	assert_int_equal(c.models[0].provider, 1);
	assert_string_equal(c.models[0].upstream, "org/m:1");
	assert_int_equal(c.models[0].max_tokens, 9);
	assert_int_equal(c.models[0].temperature, 701);
	assert_int_equal(c.providers[0].type, PROVIDER_OPENAI);
	assert_int_equal(c.providers[2].type, PROVIDER_OLLAMA);
	assert_int_equal(c.models[1].temperature, 0);
	assert_false(c.models[0].is_default);
	assert_int_equal(c.models[1].provider, 0);
	assert_string_equal(c.models[1].system, "a\nb");
	assert_true(c.models[1].is_default);
	assert_int_equal(c.limits.max_connections, 7);
	assert_int_equal(c.limits.spare_workers, 0);
	assert_int_equal(c.limits.login_grace, 20);
	assert_null(c.models[0].fallback);
	assert_string_equal(c.models[1].fallback, "fast");
	assert_true(c.models[1].budget.tokens_day == 5000000000);
	assert_int_equal(c.models[1].budget.requests_minute, 0);
	assert_int_equal(c.budget.requests_minute, 30);
	assert_true(c.budget.tokens_month == 9 && c.budget.tokens_day == 0);
	assert_ptr_equal(config_model_find(&c, ""), &c.models[1]);
	assert_ptr_equal(config_model_find(&c, "fast"), &c.models[0]);
	assert_null(config_model_find(&c, "fas"));
	config_free(&c);
	assert_null(c.state_dir);
}

static void
test_defaults(void **state)
{
	struct server_config c;

	(void)state;
	assert_int_equal(load(&c, HEAD PROV MODEL), 0);
	assert_int_equal(c.nlisten, 2);
	assert_string_equal(c.listen[0].text, "0.0.0.0:7464");
	assert_string_equal(c.listen[1].text, "[::]:7464");
	assert_string_equal(c.control_socket, "/s/control");
	assert_int_equal(c.control_group, (gid_t)-1);
	assert_int_equal(c.log_level, LOG_L_INFO);
	assert_true(c.first_contact);
	assert_false(c.require_pq);
	assert_int_equal(c.shaping, SHAPE_TICK);
	assert_true(c.models[0].is_default);
	assert_null(c.models[0].system);
	assert_int_equal(c.limits.max_connections, 1024);
	assert_int_equal(c.limits.max_connections_per_source, 32);
	assert_int_equal(c.limits.max_sessions_per_user, 64);
	assert_int_equal(c.limits.idle_timeout, 3600);
	assert_int_equal(c.limits.min_landlock_abi, 1);
	assert_int_equal(c.limits.spare_workers, 4);
	assert_int_equal(c.limits.max_prompt, 1048576);
	config_free(&c);
}

#define URL(u)	HEAD MODEL "provider p {\n url = '" u "'\n}\n"

static const struct mistake {
	const char	*text;
	int		 line;		/* 0: of the whole file */
	const char	*says;
} mistakes[] = {
	{ HEAD PROV "\nshapeless = tick\n" MODEL, 4, "shapeless" },
	{ HEAD PROV "\nshaping = none\n" MODEL, 4, "tick, bucket or off" },
	{ HEAD "model m {\n upstram = u }\n", 3, "upstram" },
	{ HEAD "limits {\n\n max_connections = many }\n", 4,
	    "max_connections" },
	{ HEAD PROV MODEL "first_contact = perhaps\n", 4, "first_contact" },
#if !MLKEM_BUILT
	{ HEAD PROV MODEL "require_pq = yes\n", 4, "no ML-KEM" },
#endif
	{ HEAD PROV MODEL "limits {\n login_grace = 0\n}", 5, "login_grace" },
	{ HEAD PROV MODEL "limits {\n login_grace = -1\n}", 5, "login_grace" },
	{ HEAD PROV MODEL "limits {\n max_prompt = 99999999999999999999\n}", 5,
	    "max_prompt" },
	{ HEAD PROV MODEL "limits {\n max_prompt = 1048577\n}", 5,
	    "max_prompt" },
	{ HEAD PROV MODEL "limits {\n tokens_per_day = -1\n}", 5,
	    "tokens_per_day" },
	{ HEAD PROV MODEL "limits {\n requests_per_minute = 1000001\n}", 5,
	    "requests_per_minute" },
	{ HEAD PROV "model m { provider = p\n upstream = u\n"
	    " fallback = m }\n", 5, "another model" },
	{ HEAD PROV "model m { provider = p\n upstream = u\n"
	    " fallback = n }\n", 5, "another model" },
	{ HEAD PROV "model m { provider = p\n upstream = u\n"
	    " fallback = '' }\n", 5, "1 to 64 bytes" },
	{ HEAD PROV MODEL MODEL, 4, "m" },
	{ HEAD PROV PROV MODEL, 3, "p" },
	{ HEAD PROV MODEL "log_level = info\nlog_level = info\n", 5,
	    "first on line 4" },
	{ HEAD PROV MODEL "limits { }\nlimits { }\n", 5, "first on line 4" },
	{ HEAD PROV "model m { provider = p\n upstream = u\n upstream = v }\n",
	    5, "first on line 4" },
	{ HEAD PROV MODEL "log_level = loud\n", 4, "log_level" },
	{ HEAD PROV MODEL "audit_full = maybe\n", 4, "stop or continue" },
	{ HEAD PROV MODEL "audit_rotate_mib = -1\n", 4, "audit_rotate" },
	{ HEAD PROV MODEL "audit_checkpoint_lines = 0\n", 4, "1 to 4096" },
	{ HEAD PROV MODEL "audit_checkpoint_seconds = 0\n", 4, "seconds" },
	{ HEAD PROV MODEL "listen = { '1.2.3.4',\n '1.2.3.4:7464' }\n", 4,
	    "twice" },
	{ HEAD PROV MODEL "listen = { 'example.org' }\n", 4, "numeric" },
	{ HEAD PROV MODEL "listen = { '::1' }\n", 4, "::1" },
	{ HEAD PROV MODEL "listen = { systemd,\n '1.2.3.4' }\n", 4, "numeric" },
	{ HEAD PROV MODEL "connector_socket = 'x'\n", 4, "absolute" },
	{ HEAD PROV MODEL "wrap_key_file = 'x'\n", 4, "absolute" },
	{ HEAD PROV MODEL "wrap_key_file = 'credential:'\n", 4, "letters" },
	{ HEAD PROV MODEL "wrap_key_file = 'credential:../x'\n", 4, "letters" },
	{ HEAD "provider p { url = 'https://h'\n key_file = 'credential:a/b'\n"
	    "}\n" MODEL, 3, "letters" },
	{ HEAD PROV MODEL "listen = { '1.2.3.4:0' }\n", 4, "PORT" },
	{ HEAD PROV MODEL "listen = { '1.2.3.4:65536' }\n", 4, "PORT" },
	{ HEAD PROV MODEL "listen = { '1.2.3.4: 1' }\n", 4, "PORT" },
	{ HEAD PROV MODEL "listen = { '1.2.3.4:1x' }\n", 4, "PORT" },
	{ HEAD PROV MODEL "listen = { '[::1]x' }\n", 4, "[::1]x" },
	{ HEAD PROV MODEL "listen = { '[1.2.3.4]' }\n", 4, "IPv6" },
	{ HEAD PROV MODEL "listen = { }\n", 5, "1 to 16" },
	{ HEAD PROV MODEL "listen = {'1.1.1.1'}\nlisten = {'1.1.1.2'}\n", 5,
	    "listen is set twice, first on line 4" },
	{ HEAD PROV MODEL "control_group = 'no such group'\n", 4, "group" },
	{ HEAD PROV MODEL "control_socket = 'x'\n", 4, "absolute" },
	{ HEAD PROV MODEL "roles {\n\n keyd = bob\n}\n", 6,
	    "unknown user \"bob\"" },
	{ HEAD PROV MODEL "roles {\n keyd = root\n}\n", 5, "root" },
	{ HEAD PROV MODEL "roles {\n keyd = '0'\n}\n", 5, "root" },
	{ HEAD PROV MODEL "roles {\n keyd = '12:0'\n}\n", 5, "root" },
	{ HEAD PROV MODEL "roles {\n keyd = '4294967295'\n}\n", 5, "user" },
	{ HEAD PROV MODEL "roles {\n keyd = '12:'\n}\n", 5, "user" },
	{ HEAD PROV MODEL "roles {\n monitor = alice\n}\n", 5, "monitor" },
	{ HEAD MODEL PROV "model n {\n upstream = u\n provider = q\n}\n", 6,
	    "unknown provider \"q\"" },
	{ HEAD PROV "model n {\n upstream = u\n}\n", 5, "no provider" },
	{ HEAD PROV "model n {\n provider = p\n}\n", 5, "no upstream" },
	{ HEAD PROV "model n {\n provider = p\n upstream = ''\n}\n", 5,
	    "upstream" },
	{ HEAD PROV "model n {\n provider = p\n upstream = \"\\xff\"\n}\n", 5,
	    "UTF-8" },
	{ HEAD PROV "model 'a b' {\n}\n", 4, "alias" },
	{ HEAD PROV MODEL "model n { provider = p upstream = u default = on }\n"
	    "model o { provider = p upstream = u\n default = on }\n", 6,
	    "both the default" },
	{ HEAD "provider p {\n}\n" MODEL, 3, "no url" },
	{ HEAD "provider p {\n type = magic\n}\n" MODEL, 3, "type" },
	{ HEAD "provider p { type = anthropic url = 'https://a/' }\n"
	    "model m {\n provider = p upstream = m\n context = 9\n}\n", 5,
	    "context" },
	{ HEAD PROV "model m {\n provider = p upstream = m\n"
	    " temperature = 2.5\n}\n", 5, "temperature" },
	{ HEAD "provider 'a/b' {\n}\n" MODEL, 3, "name" },
	{ HEAD "provider p { url = 'http://h'\n key_file = k\n}\n" MODEL, 3,
	    "absolute" },
	{ HEAD "provider p { url = 'http://h'\n key_file = '/a/../k'\n}\n"
	    MODEL, 3, "absolute" },
	{ HEAD "provider p { key_file = '/k'\n url = 'http://h' }\n" MODEL, 3,
	    "in clear" },
	{ HEAD "provider p { url = 'http://h'\n ca_file = '/k' }\n" MODEL, 3,
	    "https" },
	{ HEAD "provider p { url = 'http://h'\n total_timeout = 0 }\n" MODEL, 3,
	    "total_timeout" },
	{ URL("ftp://h/"), 4, "http://" },
	{ URL("http://"), 4, "host" },
	{ URL("http://u:p@h/"), 4, "user" },
	{ URL("http://h/v1?k=v"), 4, "query" },
	{ URL("http://h/v1#f"), 4, "fragment" },
	{ URL("http://h:/v1"), 4, "port" },
	{ URL("http://h:70000/v1"), 4, "port" },
	{ URL("http://h:80x/v1"), 4, "port" },
	{ URL("http://[::g]/v1"), 4, "host" },
	{ URL("http://[::1/v1"), 4, "host" },
	{ URL("http://a b/v1"), 4, "host" },
	{ URL("http://a..b/v1"), 4, "host" },
	{ URL("http://127.1/v1"), 4, "host" },
	{ URL("http://h/a/../b"), 4, "path" },
	{ URL("http://h/.."), 4, "path" },
	{ URL("http://h/a//b"), 4, "path" },
	{ URL("http://h/a%2f"), 4, "path" },
	{ URL("http://h/a b"), 4, "path" },
	{ HEAD MODEL "limits {\n", 4, "" },
	{ HEAD MODEL "log_level = 'x\n\n", 3, "string" },
	{ HEAD MODEL "log_level = \"x\\\"\n\n", 3, "string" },
	{ HEAD MODEL "\n/* x\n\n", 4, "comment" },
	{ HEAD "log_level = ${HOME}\n", 2, "${" },
	{ HEAD "#\nlog_level = \"x${HOME}\"\n", 3, "${" },
	/* Comments of each kind do not move the line. */
	{ "# a\n#\n\n// 'b\n/* \"c\n\nd */ " HEAD "x # ${\n", 8, "'x'" },
	{ "log_level = a/b//c # d\nx\n", 2, "'x'" },
	{ "log_level = \"# // /*\" // \"\nstate_dir = '/* \\' #'\nx\n", 3,
	    "'x'" },
	{ HEAD "}\n", 2, "" },
	{ HEAD "a\x01\n", 2, "UTF-8" },
	{ HEAD "\n#\xff\n", 3, "UTF-8" },
	{ HEAD MODEL, 0, "no provider" },
	{ HEAD PROV, 0, "no model" },
	{ "", 0, "" },
};

/* What systemd passes. */
static void
test_systemd(void **state)
{
	struct server_config c;

	(void)state;
	assert_int_equal(load(&c, HEAD "listen = systemd\n"
	    "connector_socket = '/run/c'\nwrap_key_file = 'credential:w.key'\n"
	    "provider p { url = 'https://h' key_file = 'credential:k' }\n"
	    MODEL), 0);
	assert_true(c.inherit);
	assert_int_equal(c.nlisten, 0);
	assert_string_equal(c.connector_socket, "/run/c");
	assert_string_equal(c.wrap_key_file, "credential:w.key");
	assert_string_equal(c.providers[0].key_file, "credential:k");
	config_free(&c);
	assert_int_equal(load(&c, HEAD PROV MODEL), 0);
	assert_false(c.inherit);
	assert_null(c.connector_socket);
	assert_null(c.wrap_key_file);
	config_free(&c);
}

/* Keys and database can be made before there is a provider. */
static void
test_init(void **state)
{
	struct server_config c;

	(void)state;
	write_file(HEAD, strlen(HEAD));
	assert_int_equal(config_load(path, &c, err, sizeof(err)), -1);
	assert_int_equal(config_load_init(path, &c, err, sizeof(err)), 0);
	assert_string_equal(c.state_dir, "/s");
	assert_int_equal(c.nproviders, 0);
	config_free(&c);
	write_file("listen = x\n", 11);
	assert_int_equal(config_load_init(path, &c, err, sizeof(err)), -1);
}

static void
test_mistakes(void **state)
{
	struct server_config c;
	char where[sizeof(path) + 16];

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];

		snprintf(where, sizeof(where), "%s:%d: ", path, m->line);
		if (m->line == 0)
			snprintf(where, sizeof(where), "%s:", path);
		if (load(&c, m->text) == 0)
			fail_msg("loaded: %s", m->text);
		if (strncmp(err, where, strlen(where)) != 0 ||
		    strstr(err, m->says) == NULL)
			fail_msg("\"%s\" should be \"%s...%s\" for:\n%s", err,
			    where, m->says, m->text);
		assert_null(c.state_dir);
		assert_int_equal(c.nproviders, 0);
	}
}

static void
test_shared_users(void **state)
{
	struct server_config c;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(load(&c, HEAD PROV MODEL
	    "roles {\n vault = alice\n keyd = '1000'\n}\n"), -1);
	assert_non_null(strstr(err, ":5: "));	/* vault, the later role */
	assert_non_null(strstr(err, "keyd and vault would run as one user"));
	assert_int_equal(load(&c, HEAD PROV MODEL
	    "provider q {\n url = 'http://h' }\n"), -1);
	assert_non_null(strstr(err, "providers p and q"));
	assert_int_equal(load(&c, HEAD PROV MODEL
	    "provider q {\n url = 'http://h'\n user = _cloister-keyd }\n"), -1);
	assert_non_null(strstr(err, ":6: provider q and keyd"));
	assert_int_equal(load(&c, HEAD PROV MODEL
	    "provider q { url = 'http://h' user = alice }\n"), 0);
	assert_int_equal(c.providers[0].user.uid, 900 + CONFIG_LLMPROXY);
	assert_int_equal(c.providers[1].user.uid, 1000);
	config_free(&c);
}

static void
test_limits(void **state)
{
	struct server_config c;
	char text[16384], *p;

	(void)state;
	for (int n = CONFIG_MAX_MODELS; n <= CONFIG_MAX_MODELS + 1; n++) {
		p = text + sprintf(text, HEAD PROV);
		for (int i = 0; i < n; i++)
			p += sprintf(p,
			    "model m%d { provider = p upstream = u }\n", i);
		assert_int_equal(load(&c, text),
		    n > CONFIG_MAX_MODELS ? -1 : 0);
		if (n <= CONFIG_MAX_MODELS)
			assert_int_equal(c.nmodels, n);
		config_free(&c);
	}
	assert_non_null(strstr(err, ":67: more than 64 models"));
	for (int n = CONFIG_MAX_PROVIDERS; n <= CONFIG_MAX_PROVIDERS + 1; n++) {
		p = text + sprintf(text, HEAD MODEL
		    "roles { llmproxy = '7000' }\n"
		    "provider p { url = 'http://h' }\n");
		for (int i = 1; i < n; i++)
			p += sprintf(p, "provider p%d { url = 'http://h' }\n",
			    i);
		assert_int_equal(load(&c, text),
		    n > CONFIG_MAX_PROVIDERS ? -1 : 0);
		config_free(&c);
	}
	assert_non_null(strstr(err, ":20: more than 16 providers"));
}

/* What a role could not be told is refused here, where a line can be named. */
static void
test_long_texts(void **state)
{
	static const struct {
		const char	*head, *tail;
		size_t		 max;
		const char	*says;
	} t[] = {
		{ HEAD PROV "model m { provider = p upstream = u\n system = '",
		    "' }\n", 16384, ":4: system" },
		{ HEAD MODEL "provider p {\n url = 'http://h/", "'\n}\n", 1023,
		    ":4: url" }
	};
	static char text[32768];
	struct server_config c;
	char *p;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (size_t n = t[i].max; n <= t[i].max + 1; n++) {
			p = text + sprintf(text, "%s", t[i].head);
			memset(p, 'x', n);
			(void)sprintf(p + n, "%s", t[i].tail);
			assert_int_equal(load(&c, text),
			    n > t[i].max ? -1 : 0);
			if (n > t[i].max)
				assert_non_null(strstr(err, t[i].says));
			config_free(&c);
		}
}

static void
test_permissions(void **state)
{
	struct server_config c;

	(void)state;
	write_file(HEAD PROV MODEL, strlen(HEAD PROV MODEL));
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(config_load(path, &c, err, sizeof(err)), 0);
	config_free(&c);
	assert_int_equal(chmod(path, 0620), 0);
	assert_int_equal(config_load(path, &c, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "written"));
	assert_int_equal(chmod(path, 0602), 0);
	assert_int_equal(config_load(path, &c, err, sizeof(err)), -1);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(config_load("/tmp", &c, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "regular"));
	assert_int_equal(config_load("/nonexistent", &c, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "/nonexistent: "));
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(config_load(path, &c, err, sizeof(err)), -1);
		assert_non_null(strstr(err, "belongs"));
		assert_int_equal(chown(path, 0, 0), 0);
	}
}

/* Whatever the bytes are, the result is 0 or -1 with a message. */
static void
load_hostile(const uint8_t *p, size_t n)
{
	struct server_config c;

	write_file(p, n);
	err[0] = '\0';
	if (config_load(path, &c, err, sizeof(err)) == 0)
		config_free(&c);
	else
		assert_true(strncmp(err, path, strlen(path)) == 0);
}

static void
test_hostile(void **state)
{
	static uint8_t big[2 * 1024 * 1024];
	uint8_t b[sizeof(good)];
	size_t n;

	(void)state;
	srandom(7464);
	for (int i = 0; i < 300; i++) {		/* noise */
		n = (size_t)random() % sizeof(b);
		for (size_t j = 0; j < n; j++)
			b[j] = (uint8_t)random();
		load_hostile(b, n);
	}
	for (n = 0; n < sizeof(good); n++) {	/* cut, and one byte changed */
		load_hostile((const uint8_t *)good, n);
		memcpy(b, good, sizeof(good));
		b[n] = (uint8_t)"\0{}\"'\\=,+#/*$\n a9"[random() % 18];
		load_hostile(b, sizeof(good) - 1);
	}
	for (int i = 0; i < 600; i++) {		/* grammar soup */
		n = (size_t)random() % sizeof(b);
		for (size_t j = 0; j < n; j++)
			b[j] = (uint8_t)
			    "{}\"'\\=,+#/*$ \nmodel p9listen"[random() % 29];
		load_hostile(b, n);
	}
	for (size_t c = 0; c < 8; c++) {	/* one very long line */
		memset(big, "a{\"'#$\\\0"[c], sizeof(big));
		load_hostile(big, sizeof(big));
		load_hostile(big, 300000);
		memcpy(big, "state_dir = \"", 13);
		load_hostile(big, 300000);
	}
}

static void
test_sample(void **state)
{
	struct server_config c;
	struct stat st;
	char text[16384];
	FILE *f;
	size_t n;

	(void)state;
	/* By way of a copy: the source tree may be anybody's. */
	if ((f = fopen(SAMPLE, "re")) == NULL)
		fail_msg("%s: run from the top folder", SAMPLE);
	assert_int_equal(fstat(fileno(f), &st), 0);
	assert_true((size_t)st.st_size < sizeof(text));
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	write_file(text, n);
	if (config_load(path, &c, err, sizeof(err)) == -1)
		fail_msg("%s", err);
	assert_int_equal(c.nlisten, 2);
	assert_int_equal(c.nproviders, 1);
	assert_string_equal(c.models[0].alias, "assistant");
	assert_int_equal(c.limits.max_prompt, 1048576);
	config_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_systemd),
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_shared_users),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_long_texts),
	cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_sample),
	};
	int fd = mkstemp(path), rv;

	if (fd == -1)
		return 1;
	close(fd);
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rv;
}
