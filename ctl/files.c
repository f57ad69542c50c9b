#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "backup.h"
#include "ctl.h"
#include "log.h"
#include "role.h"

#define DIR_FLAGS	(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int
file_failed(const char *name)
{
	out_error("%s: %s", name, strerror(errno));
	return -1;
}

int
sink_open(struct sink *s, int dirfd, const char *name)
{
	*s = (struct sink){ .fd = -1, .name = name };
	if ((s->md = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1)
		fatalx("SHA-256");
	s->fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (s->fd != -1)
		return 0;
	(void)file_failed(name);
	sink_drop(s);
	return -1;
}

int
sink_put(struct sink *s, const void *p, size_t n)
{
	if (EVP_DigestUpdate(s->md, p, n) != 1)
		fatalx("SHA-256");
	s->bytes += n;
	return write_all(s->fd, p, n) == -1 ? file_failed(s->name) : 0;
}

void
sink_hash(const struct sink *s, uint8_t sha256[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md == NULL || EVP_MD_CTX_copy_ex(md, s->md) != 1 ||
	    EVP_DigestFinal_ex(md, sha256, NULL) != 1)
		fatalx("SHA-256");
	EVP_MD_CTX_free(md);
}

void
sink_drop(struct sink *s)
{
	if (s->fd != -1)
		(void)close(s->fd);
	EVP_MD_CTX_free(s->md);
	*s = (struct sink){ .fd = -1 };
}

int
sink_end(struct sink *s, struct backup_file *f)
{
	int r = 0;

	f->bytes = s->bytes;
	sink_hash(s, f->sha256);
	if (fsync(s->fd) == -1)
		r = file_failed(s->name);
	sink_drop(s);
	return r;
}

static int
copy_bytes(int fd, const char *from, struct sink *s, uint64_t left)
{
	static uint8_t buf[65536];

	while (left > 0) {
		size_t want = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		ssize_t n = read(fd, buf, want);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return file_failed(from);
		if (n == 0)
			return 0;
		if (sink_put(s, buf, (size_t)n) == -1)
			return -1;
		left -= (uint64_t)n;
	}
	return 0;
}

int
file_copy(int fromfd, const char *from, int tofd, const char *to,
    struct backup_file *f, unsigned uid, unsigned gid)
{
	struct backup_file got = { .log = f->log };
	struct sink s;
	int fd, r;

	if ((fd = openat(fromfd, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_CLOEXEC)) == -1)
		return file_failed(from);
	if (sink_open(&s, tofd, to) == -1) {
		(void)close(fd);
		return -1;
	}
	r = copy_bytes(fd, from, &s, f->bytes);
	(void)close(fd);
	if (r == 0 && uid != (uid_t)-1 && fchown(s.fd, uid, gid) == -1)
		r = file_failed(to);
	if (r == -1) {
		sink_drop(&s);
		return -1;
	}
	if (sink_end(&s, &got) == -1)
		return -1;
	if (f->bytes != UINT64_MAX && (got.bytes != f->bytes ||
	    memcmp(got.sha256, f->sha256, sizeof(got.sha256)) != 0)) {
		out_error("%s is damaged: it is not what the manifest says",
		    from);
		return -1;
	}
	*f = got;
	return 0;
}

int
tree_empty(int dirfd)
{
	const struct dirent *e;
	int fd, sub, r = 0;
	DIR *d;

	if ((fd = openat(dirfd, ".", DIR_FLAGS)) == -1)
		return file_failed(".");
	if ((d = fdopendir(fd)) == NULL) {
		r = file_failed(".");
		(void)close(fd);
		return r;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0)
			continue;
		if ((sub = openat(dirfd, e->d_name, DIR_FLAGS)) != -1) {
			r = tree_empty(sub);
			(void)close(sub);
		}
		if (r == 0 && unlinkat(dirfd, e->d_name, sub != -1 ?
		    AT_REMOVEDIR : 0) == -1)
			r = file_failed(e->d_name);
	}
	(void)closedir(d);
	return r;
}

int
dir_sync(int dirfd, const char *name)
{
	return fsync(dirfd) == -1 ? file_failed(name) : 0;
}

int
dir_make(int dirfd, const char *name, unsigned mode, unsigned uid,
    unsigned gid)
{
	int fd;

	if (mkdirat(dirfd, name, mode) == -1 && errno != EEXIST)
		return file_failed(name);
	if ((fd = openat(dirfd, name, DIR_FLAGS)) == -1)
		return file_failed(name);
	if (fchmod(fd, mode) == -1 ||
	    (uid != (uid_t)-1 && fchown(fd, uid, gid) == -1)) {
		(void)file_failed(name);
		(void)close(fd);
		return -1;
	}
	return fd;
}
