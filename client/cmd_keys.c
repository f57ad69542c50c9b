#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "exits.h"
#include "keyd_child.h"
#include "log.h"
#include "pubkey.h"
#include "rsa.h"
#include "ui.h"

static char *
public_path(const char *key)
{
	char *path;

	if (asprintf(&path, "%s.pub", key) == -1)
		fatal("memory");
	return path;
}

/* A new file; one that is there already is never touched. */
static int
create(const char *path, mode_t mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    mode);

	if (fd == -1 && errno == EEXIST)
		ui_err("%s is there already; move it away, or choose another "
		    "name by -k", path);
	else if (fd == -1 || fchmod(fd, mode) == -1)
		ui_err("%s: %s", path, strerror(errno));
	else
		return fd;
	if (fd != -1)
		(void)close(fd);
	return -1;
}

/* keyd synced the files; their names are to outlive a power failure too. */
static int
sync_directory(const char *file)
{
	char *copy = strdup(file), *slash;
	int dir, rv = -1;

	if (copy == NULL)
		fatal("memory");
	slash = strrchr(copy, '/');
	if (slash != NULL)
		slash[slash == copy ? 1 : 0] = '\0';
	dir = open(slash != NULL ? copy : ".",
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir != -1) {
		rv = fsync(dir);
		(void)close(dir);
	}
	if (rv == -1)
		ui_err("%s: %s", slash != NULL ? copy : ".", strerror(errno));
	free(copy);
	return rv == 0 ? RC_OK : RC_ERROR;
}

int
keys_make(struct client *cl)
{
	char *public = public_path(cl->key);
	int private_fd, public_fd = -1, rc = RC_ERROR;

	private_fd = create(cl->key, 0600);
	if (private_fd == -1)
		goto out;
	public_fd = create(public, 0644);
	if (public_fd == -1)
		goto fail;
	rc = keyd_generate(&cl->conf, private_fd, public_fd, cl->args.nopass);
	if (rc == RC_OK)
		rc = sync_directory(cl->key);
	if (rc == RC_OK)
		goto out;
	ui_err("no keys were made");
	(void)unlink(public);
fail:
	(void)unlink(cl->key);
out:
	if (private_fd != -1)
		(void)close(private_fd);
	if (public_fd != -1)
		(void)close(public_fd);
	free(public);
	return rc;
}

int
cmd_keygen(struct client *cl)
{
	int rc = keys_make(cl);

	if (rc == RC_OK && ui_printf("Your keys are in %s; keep it secret.\n"
	    "Give %s.pub to the server's administrator, who runs:\n"
	    "    cloisterctl key add USER FILE\n"
	    "or enrol them yourself, with `cloister login'.\n", cl->key,
	    cl->key) == -1)
		rc = RC_ERROR;
	return rc;
}

static int
show_key(const char *name, struct bytes spki)
{
	char text[RSA_FP_TEXT];
	uint8_t fp[HASH_LEN];

	rsa_fingerprint(fp, spki);
	rsa_fingerprint_text(text, fp);
	return ui_printf("%-8s %s\n", name, text);
}

/* What known_servers says of the server that would be used. */
static int
show_server(const struct client *cl)
{
	char text[CCONF_FP_TEXT], err[512];
	uint8_t fp[CCONF_FP_BYTES];

	switch (cconf_known_get(&cl->conf, &cl->server, fp, err, sizeof(err))) {
	case 1:
		cconf_fingerprint(text, fp);
		return ui_printf("server %s\n%-8s %s\n", cl->server.text,
		    "host", text) == 0 ? RC_OK : RC_ERROR;
	case 0:
		return ui_printf("server %s: no key is known yet\n",
		    cl->server.text) == 0 ? RC_OK : RC_ERROR;
	default:
		ui_err("%s", err);
		return RC_ERROR;
	}
}

int
cmd_fingerprint(struct client *cl)
{
	char *path = public_path(cl->key), err[512];
	struct pubkey k;
	int rc = RC_OK;

	if (cl->server.host[0] != '\0')
		rc = show_server(cl);
	if (rc == RC_OK && pubkey_load(&k, path, err, sizeof(err)) == -1) {
		ui_err("%s", err);
		rc = RC_ERROR;
	} else if (rc == RC_OK) {
		if (ui_printf("your keys, %s\n", path) == -1 ||
		    show_key("sign", buf_bytes(&k.sign)) == -1 ||
		    show_key("wrap", buf_bytes(&k.wrap)) == -1 ||
		    show_key("message", buf_bytes(&k.message)) == -1)
			rc = RC_ERROR;
		pubkey_free(&k);
	}
	free(path);
	return rc;
}
