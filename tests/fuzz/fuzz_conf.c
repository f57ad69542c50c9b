/*
 * What is read from files and typed: the server's configuration, the client's,
 * known_servers, the public key file, addresses and URLs.
 */
#include "fuzz.h"

#include <sys/stat.h>

#include "../client/cconf.h"
#include "../monitor/config.h"
#include "../monitor/config_url.h"
#include "pubkey.h"
#include "trust.h"

static char dir[4096];
static struct pubkey good;

static void
put_key(struct buf *b, enum rsa_use use)
{
	EVP_PKEY *k = rsa_generate(use, RSA_BITS_DEFAULT, 0);

	buf_init(b, RSA_SPKI_MAX);
	need(k != NULL && rsa_spki_encode(b, k) == 0);
	EVP_PKEY_free(k);
}

static void
remove_dir(void)
{
	static const char *const name[] = { "config", "known_servers", "last",
	    "server" };
	char path[4200];

	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		(void)unlink(path);
	}
	(void)rmdir(dir);
}

static void
fuzz_setup(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)umask(077);
	(void)snprintf(dir, sizeof(dir), "%s/cloister-fuzz.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	need(mkdtemp(dir) != NULL);
	need(setenv("CLOISTER_HOME", dir, 1) == 0);
	(void)atexit(remove_dir);
}

/* Leaves the file where the code under test looks for it. */
static const char *
put_file(const char *name, struct bytes b)
{
	static char path[4200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	need((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) != -1);
	need(write(fd, b.p, b.n) == (ssize_t)b.n);
	close(fd);
	return path;
}

static void
check_complaint(const char *err)
{
	need(err[0] != '\0' && strlen(err) < 300);
}

static void
server(struct bytes in)
{
	char err[300] = "";
	struct server_config cfg;

	if (config_load(put_file("server", in), &cfg, err, sizeof(err)) == -1) {
		check_complaint(err);
		return;
	}
	need(cfg.nlisten >= 1 && cfg.nlisten <= CONFIG_MAX_LISTEN);
	need(cfg.nproviders <= CONFIG_MAX_PROVIDERS);
	for (size_t i = 0; i < cfg.nmodels; i++)
		need(cfg.models[i].provider < cfg.nproviders);
	for (size_t i = 0; i < cfg.nproviders; i++)
		need(cfg.providers[i].url.host != NULL &&
		    cfg.providers[i].url.port != 0);
	need(cfg.nmodels == 0 || config_model_find(&cfg, "") != NULL);
	need(cfg.state_dir[0] == '/' && cfg.control_socket[0] == '/');
	config_free(&cfg);
}

static void
client(struct bytes in)
{
	char err[300] = "";
	struct cconf c;

	(void)put_file("config", in);
	if (cconf_load(&c, err, sizeof(err)) == -1) {
		check_complaint(err);
		return;
	}
	need(c.dir[0] == '/' && c.key[0] == '/');
	cconf_free(&c);
}

static void
known(struct bytes in)
{
	uint8_t fp[CCONF_FP_BYTES] = { 1 };
	char err[300] = "", id[CCONF_CONV_MAX + 1];
	struct cconf_server s;
	struct cconf c;
	int before, suite, rv;

	(void)put_file("config", bytes_of("", 0));
	need(cconf_server_parse(&s, "example.org") == 0);
	need(cconf_load(&c, err, sizeof(err)) == 0);
	(void)put_file("known_servers", in);
	(void)put_file("last", in);
	rv = cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err));
	need(rv >= -1 && rv <= CCONF_CHANGED);
	before = suite;
	if (rv == CCONF_UNKNOWN &&
	    cconf_known_add(&c, &s, fp, 1, err, sizeof(err)) == 0)
		need(cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err)) ==
		    CCONF_MATCH && suite == before);
	/* Hashed names are found as they were; removed they are gone. */
	rv = cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err));
	before = suite;
	if (rv != -1 && cconf_known_hash(&c, err, sizeof(err)) != -1)
		need(cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err)) ==
		    rv && suite == before &&
		    cconf_known_hash(&c, err, sizeof(err)) == 0);
	if (cconf_known_get(&c, &s, fp, err, sizeof(err)) == 1)
		need(cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err)) ==
		    CCONF_MATCH);
	if (cconf_known_remove(&c, &s, err, sizeof(err)) > 0)
		need(cconf_known_lookup(&c, &s, fp, &suite, err, sizeof(err)) ==
		    CCONF_UNKNOWN && suite == 1);
	if (cconf_last_get(&c, &s, id, err, sizeof(err)) == 1)
		need(strlen(id) > 0 && strlen(id) <= CCONF_CONV_MAX);
	if (cconf_last_set(&c, &s, "abc-1", err, sizeof(err)) == 0)
		need(cconf_last_get(&c, &s, id, err, sizeof(err)) == 1 &&
		    strcmp(id, "abc-1") == 0);
	cconf_free(&c);
}

static void
public(struct bytes in)
{
	struct buf out = BUF_INIT(PUBKEY_FILE_MAX);
	char err[300] = "";
	struct pubkey k;

	if (pubkey_parse(&k, in, err, sizeof(err)) == -1) {
		check_complaint(err);
		return;
	}
	need(pubkey_format(&out, &k) == 0 && bytes_eq(buf_bytes(&out), in));
	buf_free(&out);
	pubkey_free(&k);
}

/* What is written out must mean the same when it is read again. */
static void
address(const char *text)
{
	struct cconf_server s, s2;
	struct config_listen l, l2;
	struct config_url u = { .host = NULL };

	if (cconf_server_parse(&s, text) == 0) {
		need(s.port != 0 && s.host[0] != '\0');
		need(cconf_server_parse(&s2, s.text) == 0);
		need(strcmp(s.text, s2.text) == 0 && s.port == s2.port &&
		    strcmp(s.host, s2.host) == 0 && s.numeric == s2.numeric);
	}
	if (config_listen_parse(&l, text) == NULL) {
		need(config_listen_parse(&l2, l.text) == NULL);
		need(strcmp(l.text, l2.text) == 0 && l.addrlen == l2.addrlen &&
		    memcmp(&l.addr, &l2.addr, l.addrlen) == 0);
	}
	if (config_url_parse(&u, text) == NULL) {
		need(u.host != NULL && u.host[0] != '\0' && u.port != 0);
		need(u.path != NULL && (u.path[0] == '\0' || (u.path[0] == '/' &&
		    u.path[strlen(u.path) - 1] != '/')));
		(void)config_url_loopback(&u);
	}
	free(u.host);
	free(u.path);
	(void)trust_parse(text, "SHA256:abc");
}

static void
fuzz_seeds(void)
{
	static const char *const text[] = {
		"example.org:7000", "[::1]:22", "10.0.0.1", "::1", "[fe80::1]",
		"http://127.0.0.1:8080/v1", "https://api.example.org/v1/",
		"HTTPS://[::1]/", "yes", "a.b-c:1"
	};
	static const char *const known_text[] = {
		"# comment\nexample.org:7464 1 "
		"SHA256:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA 2026-01-01\n",
		"example.org:7464 SHA256:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAA 1\n", "example.org:7464 abc-1\n"
	};
	struct buf b = BUF_INIT(65536), pub = BUF_INIT(PUBKEY_FILE_MAX);
	FILE *f = fopen("dist/cloisterd.conf.sample", "r");
	uint8_t chunk[4096];
	size_t n;

	while (f != NULL && (n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(&b, chunk, n);
	if (f != NULL)
		(void)fclose(f);
	fuzz_seed("\0", 1, buf_bytes(&b));
	fuzz_seed("\0", 1, bytes_str("listen = {\"127.0.0.1:7464\", \"[::1]\"}\n"
	    "state_dir = \"/x\"\ncontrol_socket = \"/y\"\nfirst_contact = no\n"
	    "provider local { url = \"http://127.0.0.1:1/v1\"\n"
	    "total_timeout = 9 }\nmodel m { provider = local\nupstream = \"q\"\n"
	    "system = \"be \\\"brief\\\"\" default = yes }\n"
	    "limits { max_prompt = 1000 }\nroles { keyd = \"nobody\" }\n"));
	fuzz_seed("\1", 1, bytes_str("server = \"host:7\"\nkey = \"~/k\"\n"
	    "model = 'm' /* c */ // d\nfirst_contact = refuse\n"
	    "keyd = /usr/bin/keyd\n"));
	for (size_t i = 0; i < 3; i++)
		fuzz_seed("\2", 1, bytes_str(known_text[i]));
	put_key(&good.sign, RSA_USE_SIGN);
	put_key(&good.wrap, RSA_USE_WRAP);
	put_key(&good.message, RSA_USE_SIGN);
	(void)strcpy(good.comment, "a comment");
	need(pubkey_format(&pub, &good) == 0);
	fuzz_seed("\3", 1, buf_bytes(&pub));
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		fuzz_seed("\4", 1, bytes_str(text[i]));
	remove_dir();
}

static void
fuzz_one(struct bytes input)
{
	struct rd in = rd_of(input);
	uint8_t mode = rd_u8(&in) % 5;
	struct bytes body = { in.p, in.n };
	char *text;

	switch (mode) {
	case 0:
		server(body);
		break;
	case 1:
		client(body);
		break;
	case 2:
		known(body);
		break;
	case 3:
		public(body);
		break;
	default:
		text = strndup((const char *)body.p, body.n);
		address(text);
		free(text);
	}
}
