#include "llmproxy.h"

#include <sys/mman.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "log.h"
#include "role.h"

#define SYSTEM_CA	"/etc/ssl/certs/ca-certificates.crt"

static const char *const key_headers[] = {
	[PROVIDER_OPENAI] = "Authorization: Bearer ",
	[PROVIDER_ANTHROPIC] = "x-api-key: ",
	[PROVIDER_OLLAMA] = "Authorization: Bearer ",
};
#define KEY_HEADER_MAX	32

/* The version of its protocol that anthropic.c speaks. */
#define ANTHROPIC_VERSION	"anthropic-version: 2023-06-01"

/* Add each certificate of a PEM text; how many there were. */
static int
add_authorities(X509_STORE *store, struct bytes pem)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x;
	int n = 0;

	if (in == NULL)
		crypto_fatalx("BIO");
	while ((x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		if (X509_STORE_add_cert(store, x) != 1)
			crypto_fatalx("certificate store");
		X509_free(x);
		n++;
	}
	ERR_clear_error();	/* the end is reported as an error */
	BIO_free(in);
	return n;
}

static X509_STORE *
make_store(struct bytes pem)
{
	X509_STORE *store = X509_STORE_new();

	if (store == NULL)
		crypto_fatalx("certificate store");
	if (add_authorities(store, pem) == 0) {
		X509_STORE_free(store);
		return NULL;
	}
	return store;
}

static X509_STORE *
system_authorities(void)
{
	struct buf pem = BUF_INIT(LLM_CA_MAX);
	X509_STORE *store = NULL;
	int fd;

	if ((fd = open(SYSTEM_CA, O_RDONLY | O_CLOEXEC)) == -1)
		return NULL;
	if (read_all(fd, &pem) == 0)
		store = make_store(buf_bytes(&pem));
	(void)close(fd);
	buf_free(&pem);
	return store;
}

/* OpenSSL looks for files, and fetches algorithms, on its first context. */
static void
warm_up_tls(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;

	if (ctx == NULL || (ssl = SSL_new(ctx)) == NULL)
		crypto_fatalx("TLS");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

void
upstream_prepare(struct llmproxy *lp)
{
	warm_up_tls();
	lp->system_store = system_authorities();
}

static void
add_header(struct upstream *up, const char *line)
{
	struct curl_slist *l = curl_slist_append(up->headers, line);

	if (l == NULL)
		fatalx("no memory for headers");
	up->headers = l;
}

/* The key's one home is the header in which it is sent. */
static void
add_key(struct upstream *up, struct buf *key)
{
	const char *name = key_headers[up->type];
	struct buf line = BUF_INIT(KEY_HEADER_MAX + LLM_KEY_MAX);
	struct curl_slist *l;

	while (key->n > 0 && (key->p[key->n - 1] == '\n' ||
	    key->p[key->n - 1] == '\r'))
		key->n--;
	if (key->n == 0 || key->n > LLM_KEY_MAX)
		fatalx("provider %s: the key file holds no key, or more than "
		    "one", up->name);
	for (size_t i = 0; i < key->n; i++)
		if (key->p[i] <= 0x20 || key->p[i] >= 0x7f)
			fatalx("provider %s: the key has blanks, control or "
			    "non-ASCII characters", up->name);
	buf_str(&line, name);
	buf_put(&line, key->p, key->n);
	buf_u8(&line, 0);
	add_header(up, (const char *)line.p);
	buf_free(&line);
	for (l = up->headers; l->next != NULL; l = l->next)
		;
	up->key = bytes_of(l->data + strlen(name), key->n);
	if (mlock(up->key.p, up->key.n) == -1)
		log_warn("the key cannot be locked into memory");
	buf_reset(key);
}

static void
make_url(struct upstream *up)
{
	char hostport[300], resolve[320];
	bool v6 = strchr(up->host, ':') != NULL;

	(void)snprintf(hostport, sizeof(hostport), "%s%s%s:%u", v6 ? "[" : "",
	    up->host, v6 ? "]" : "", up->port);
	if (asprintf(&up->url, "http%s://%s%s%s",
	    up->tls ? "s" : "", hostport, up->path, wire_path(up->type)) == -1)
		fatal("asprintf");
	/* An address that is never used: the sockets come connected. */
	(void)snprintf(resolve, sizeof(resolve), "%s:127.0.0.1", hostport);
	if (!v6 && (up->resolve = curl_slist_append(NULL, resolve)) == NULL)
		fatalx("no memory for an address");
}

void
upstream_configure(struct llmproxy *lp, struct buf *key, struct bytes ca)
{
	struct upstream *up = &lp->up;

	make_url(up);
	add_header(up, "Content-Type: application/json");
	add_header(up, up->type == PROVIDER_OLLAMA ?
	    "Accept: application/x-ndjson, application/json" :
	    "Accept: text/event-stream, application/json");
	if (up->type == PROVIDER_ANTHROPIC)
		add_header(up, ANTHROPIC_VERSION);
	add_header(up, "Expect:");
	if (up->has_key)
		add_key(up, key);
	if (!up->tls)
		return;
	up->store = up->has_ca ? make_store(ca) : lp->system_store;
	if (up->store == NULL && up->has_ca)
		fatalx("provider %s: the ca_file holds no certificate", up->name);
	if (up->store == NULL)
		fatalx("provider %s: https needs authorities: install the "
		    "system's (" SYSTEM_CA ") or set ca_file", up->name);
}
