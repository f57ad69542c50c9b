/*
 * What a power loss leaves of the engine's files.
 *
 *	powerloss images DIR IMAGES SEED	the store on images of crashes
 *	powerloss lying DIR IMAGES SEED		the same on a disk whose syncs lie
 *	powerloss kill DIR ROUNDS SEED		kill -9 of the writing process
 *
 * The engine's code and Berkeley DB call the functions below in place of the C
 * library's; they record each write, creation, removal and sync.  An image is
 * what a disk may hold that loses power at one moment of that trace: everything
 * that was synced, and of the rest, sector by sector, this and not that, some
 * torn in the middle; names whose directory was not synced may be missing.
 *
 * Every image must open with every write that was acknowledged, each batch whole
 * or not there; or be refused, and then be mended by what docs/storage.md says:
 * an older backup and the image's own logs.  Where syncs do nothing, writes must
 * be seen to be lost: else this program is blind.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kv.h"
#include "log.h"

#define SECTOR		512
#define FILES		64
#define FDS		256
#define NAMES		97		/* keys of the workload */
#define STEPS		12000		/* batches of it */
#define VALUE		900		/* bytes of a row */
#define CHUNK		(14 * KV_COPY_PAGE)

enum what { WRITE, TRUNC, CREATE, UNLINK, SYNC, SYNCDIR, ACK };

struct tevent {
	enum what	 what;
	int		 file;
	off_t		 off;		/* ACK: the number acknowledged */
	size_t		 n;
	uint8_t		*data;
};

struct file {
	char		 name[64];	/* below the store */
	/* While images are made. */
	bool		 there;		/* durably, by name */
	bool		 pending;	/* created or removed, not yet durable */
	uint8_t		*data;
	size_t		 n;
};

static struct file files[FILES];
static int nfiles;
static int fd_file[FDS];		/* file + 1; 0: none of ours */
static struct tevent *trace;
static size_t ntrace, captrace;
static const char *root;		/* of the store that is recorded */
static bool recording;
static bool fast;			/* images need no sync */

static uint64_t rng;

static uint64_t
rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

/* ---- the trace -------------------------------------------------------------- */

static struct tevent *
record(enum what what, int file)
{
	if (ntrace == captrace) {
		captrace = captrace == 0 ? 4096 : captrace * 2;
		trace = reallocarray(trace, captrace, sizeof(*trace));
		if (trace == NULL)
			fatal("reallocarray");
	}
	trace[ntrace] = (struct tevent){ .what = what, .file = file };
	return &trace[ntrace++];
}

/* The file with this path, if it is below the store; -1: it is not. */
static int
file_of(const char *path)
{
	size_t n = strlen(root);

	if (strncmp(path, root, n) != 0 || path[n] != '/')
		return -1;
	path += n + 1;
	for (int i = 0; i < nfiles; i++)
		if (strcmp(files[i].name, path) == 0)
			return i;
	if (nfiles == FILES || strlen(path) >= sizeof(files[0].name))
		fatalx("too many files, or a long name");
	(void)strlcpy(files[nfiles].name, path, sizeof(files[0].name));
	return nfiles++;
}

/* dst = a path; fatal when it is too long. */
__attribute__((format(printf, 2, 3)))
static void
path_to(char dst[PATH_MAX], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(dst, PATH_MAX, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= PATH_MAX)
		fatalx("a path is too long");
}

static int
fd_path(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, PATH_MAX - 1)) == -1)
		return -1;
	path[n] = '\0';
	return 0;
}

static int
do_open(int dirfd, const char *path, int flags, mode_t mode)
{
	bool is_new = recording && (flags & O_CREAT) != 0 &&
	    faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == -1;
	int fd = (int)syscall(SYS_openat, dirfd, path, flags, mode), f;
	char real[PATH_MAX];

	if (fd == -1 || !recording)
		return fd;
	if (fd >= FDS)
		fatalx("too many descriptors");
	fd_file[fd] = 0;
	if (fd_path(fd, real) == 0 && (f = file_of(real)) != -1) {
		fd_file[fd] = f + 1;
		if (is_new)
			(void)record(CREATE, f);
		else if ((flags & O_TRUNC) != 0)
			(void)record(TRUNC, f);
	}
	return fd;
}

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return do_open(AT_FDCWD, path, flags, mode);
}

int
openat(int dirfd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	return do_open(dirfd, path, flags, mode);
}

static void
record_write(int fd, const void *p, ssize_t n, off_t off)
{
	struct tevent *e;

	if (!recording || n <= 0 || fd >= FDS || fd_file[fd] == 0)
		return;
	e = record(WRITE, fd_file[fd] - 1);
	e->off = off;
	e->n = (size_t)n;
	if ((e->data = malloc(e->n)) == NULL)
		fatal("malloc");
	memcpy(e->data, p, e->n);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t off)
{
	ssize_t r = syscall(SYS_pwrite64, fd, p, n, off);

	record_write(fd, p, r, off);
	return r;
}

ssize_t
write(int fd, const void *p, size_t n)
{
	off_t off = recording ? lseek(fd, 0, SEEK_CUR) : 0;
	ssize_t r = syscall(SYS_write, fd, p, n);

	record_write(fd, p, r, off);
	return r;
}

static int
do_sync(int fd, long call)
{
	struct stat st;
	char real[PATH_MAX];
	int r = fast ? 0 : (int)syscall(call, fd), f;

	if (!recording || r == -1 || fstat(fd, &st) == -1 ||
	    fd_path(fd, real) == -1)
		return r;
	if (S_ISDIR(st.st_mode)) {
		if ((f = file_of(real)) != -1)
			(void)record(SYNCDIR, f);
	} else if (fd < FDS && fd_file[fd] != 0)
		(void)record(SYNC, fd_file[fd] - 1);
	return r;
}

int
fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

int
fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

int
ftruncate(int fd, off_t n)
{
	int r = (int)syscall(SYS_ftruncate, fd, n);

	if (recording && r == 0 && fd < FDS && fd_file[fd] != 0)
		record(TRUNC, fd_file[fd] - 1)->off = n;
	return r;
}

int
unlinkat(int dirfd, const char *path, int flags)
{
	char real[PATH_MAX];
	int r, f = -1;

	if (recording && fd_path(dirfd, real) == 0) {
		(void)strlcat(real, "/", sizeof(real));
		(void)strlcat(real, path, sizeof(real));
		f = file_of(real);
	}
	r = (int)syscall(SYS_unlinkat, dirfd, path, flags);
	if (r == 0 && f != -1)
		(void)record(UNLINK, f);
	return r;
}

int
unlink(const char *path)
{
	int r = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);

	if (recording && r == 0 && file_of(path) != -1)
		(void)record(UNLINK, file_of(path));
	return r;
}

int
rename(const char *from, const char *to)
{
	if (recording && file_of(from) != -1)
		fatalx("%s: a rename is not recorded", from);
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- the workload ----------------------------------------------------------- */

/* Batch k: two rows of version k, which must be there both or neither. */
static void
write_batch(struct kv *kv, uint64_t k)
{
	static uint8_t value[2][VALUE];
	char key[2][32];
	struct kv_op op[2];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(key[i], sizeof(key[i]), "%c%02u", "ab"[i],
		    (unsigned)(k % NAMES));
		memset(value[i], (int)k, VALUE);
		put_be64(value[i], k);
		op[i] = (struct kv_op){ .op = KV_PUT, .pre = KV_ANY,
		    .key = bytes_str(key[i]),
		    .value = bytes_of(value[i], VALUE) };
	}
	if (kv_write(kv, op, 2) != KV_OK)
		fatalx("a write failed");
}

static bool
take_row(void *arg, struct bytes key, struct bytes value)
{
	uint64_t *ver = arg;

	(void)key;
	*ver = 0;
	if (value.n == VALUE) {
		*ver = get_be64(value.p);
		for (size_t i = 8; i < VALUE; i++)
			if (value.p[i] != (uint8_t)*ver)
				*ver = UINT64_MAX;
	} else if (value.p != NULL)
		*ver = UINT64_MAX;
	return true;
}

/*
 * Whether the store has all batches up to acked, none behind tried, and each
 * whole.
 */
static bool
has_all(struct kv *kv, uint64_t acked, uint64_t tried)
{
	for (unsigned name = 0; name < NAMES; name++) {
		uint64_t ver[2], want = acked - (acked + NAMES - name) % NAMES;

		for (int i = 0; i < 2; i++) {
			char key[32];
			struct bytes k;

			(void)snprintf(key, sizeof(key), "%c%02u", "ab"[i],
			    name);
			k = bytes_str(key);
			if (kv_get(kv, &k, 1, take_row, &ver[i]) != KV_OK)
				return false;
		}
		if (ver[0] != ver[1] || ver[0] == UINT64_MAX)
			return false;
		if (acked >= name && want > 0 && want <= acked &&
		    ver[0] < want)
			return false;
		if (ver[0] > tried || (ver[0] != 0 && ver[0] % NAMES != name))
			return false;
	}
	return true;
}

static const struct kv_opts opts = { .cache_bytes = 1 << 20,
    .floor_bytes = 0, .ballast_bytes = 0 };

/* Groups of batches, a flush for each, now and then a checkpoint. */
static void
workload(struct kv *kv, uint64_t from, uint64_t to, void (*acked)(uint64_t))
{
	for (uint64_t k = from; k <= to;) {
		uint64_t group = 1 + rnd(8);

		for (; group > 0 && k <= to; group--)
			write_batch(kv, k++);
		if (rnd(60) == 0) {
			if (kv_maint(kv, KV_CHECKPOINT) != KV_OK)
				fatalx("a checkpoint failed");
		} else if (kv_flush(kv) != KV_OK)
			fatalx("a flush failed");
		acked(k - 1);
	}
}

static void
record_ack(uint64_t k)
{
	record(ACK, 0)->off = (off_t)k;
}

/* ---- images ------------------------------------------------------------------ */

static void
grow(struct file *f, size_t n)
{
	if (n <= f->n)
		return;
	if ((f->data = realloc(f->data, n)) == NULL)
		fatal("realloc");
	memset(f->data + f->n, 0, n - f->n);
	f->n = n;
}

static void
apply(struct file *f, const struct tevent *e)
{
	if (e->what == TRUNC) {
		if ((size_t)e->off < f->n)
			f->n = (size_t)e->off;
		else
			grow(f, (size_t)e->off);
		return;
	}
	grow(f, (size_t)e->off + e->n);
	memcpy(f->data + e->off, e->data, e->n);
}

/* A write that was not synced: some of its sectors, some of them torn. */
static void
apply_some(struct file *f, const struct tevent *e, unsigned percent)
{
	size_t at = 0;

	if (e->what == TRUNC) {
		if (rnd(2) == 0)
			apply(f, e);
		return;
	}
	while (at < e->n) {
		size_t n = SECTOR - ((size_t)e->off + at) % SECTOR, cut;
		struct tevent part = *e;

		if (n > e->n - at)
			n = e->n - at;
		if (rnd(100) < percent) {
			cut = rnd(50) == 0 ? rnd(n) + 1 : n;
			part.off = e->off + (off_t)at;
			part.data = e->data + at;
			part.n = cut;
			apply(f, &part);
		}
		at += n;
	}
}

/* Which events of a file are not synced, up to the crash at `end'. */
static bool
is_pending(const bool *synced, size_t i)
{
	return !synced[i] && (trace[i].what == WRITE ||
	    trace[i].what == TRUNC || trace[i].what == CREATE ||
	    trace[i].what == UNLINK);
}

static bool
in_dir(int file, int dir)
{
	size_t n = strlen(files[dir].name);

	return strncmp(files[file].name, files[dir].name, n) == 0 &&
	    files[file].name[n] == '/';
}

/* Mark what the syncs before `end' made durable. */
static void
mark_synced(bool *synced, size_t end)
{
	/* From the end: what is older than a sync of its file is durable. */
	bool data[FILES] = { false }, dir[FILES] = { false };

	for (size_t i = end; i-- > 0;) {
		const struct tevent *e = &trace[i];

		synced[i] = false;
		switch (e->what) {
		case SYNC:
			data[e->file] = true;
			break;
		case SYNCDIR:
			for (int f = 0; f < nfiles; f++)
				if (in_dir(f, e->file))
					dir[f] = true;
			break;
		case WRITE:
		case TRUNC:
			synced[i] = data[e->file];
			break;
		case CREATE:
		case UNLINK:
			synced[i] = dir[e->file];
			break;
		default:
			break;
		}
	}
}

static void
write_file(const char *dir, const struct file *f)
{
	char path[PATH_MAX];
	size_t at = 0;
	int fd;

	path_to(path, "%s/%s", dir, f->name);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) == -1)
		fatal("%s", path);
	while (at < f->n) {
		ssize_t w = write(fd, f->data + at, f->n - at);

		if (w == -1)
			fatal("%s", path);
		at += (size_t)w;
	}
	close(fd);
}

static void
make_dirs(const char *dir)
{
	static const char *const sub[] = { "", "/data", "/log" };
	char path[PATH_MAX];

	for (int i = 0; i < 3; i++) {
		path_to(path, "%s%s", dir, sub[i]);
		if (mkdir(path, 0700) == -1 && errno != EEXIST)
			fatal("%s", path);
	}
}

static void
empty_dir(const char *dir)
{
	static const char *const sub[] = { "", "/data", "/log" };
	char path[PATH_MAX], name[PATH_MAX];
	struct dirent *e;
	DIR *d;

	for (int i = 0; i < 3; i++) {
		path_to(path, "%s%s", dir, sub[i]);
		if ((d = opendir(path)) == NULL)
			continue;
		while ((e = readdir(d)) != NULL) {
			path_to(name, "%s/%s", path, e->d_name);
			if (e->d_type == DT_REG)
				(void)unlink(name);
		}
		closedir(d);
	}
}

/* What is on the disk of `base' when the power fails before event `end'. */
static void
make_image(const struct file *base, const char *dir, size_t end, bool lying)
{
	static const unsigned some[] = { 0, 50, 50, 90, 100 };
	unsigned percent = some[rnd(sizeof(some) / sizeof(some[0]))];
	bool *synced = calloc(end + 1, sizeof(*synced));

	if (synced == NULL)
		fatal("calloc");
	if (!lying)
		mark_synced(synced, end);
	for (int i = 0; i < nfiles; i++) {
		free(files[i].data);
		files[i].data = NULL;
		files[i].n = 0;
		files[i].there = base[i].there;
		grow(&files[i], base[i].n);
		memcpy(files[i].data, base[i].data, base[i].n);
	}
	for (size_t i = 0; i < end; i++) {
		struct tevent *e = &trace[i];
		struct file *f = &files[e->file];
		bool kept = !is_pending(synced, i);

		if (e->what == CREATE || e->what == UNLINK) {
			if (kept || rnd(100) < percent)
				f->there = e->what == CREATE;
		} else if (e->what == WRITE || e->what == TRUNC) {
			if (kept)
				apply(f, e);
			else
				apply_some(f, e, percent);
		}
	}
	free(synced);
	empty_dir(dir);
	make_dirs(dir);
	for (int i = 0; i < nfiles; i++)
		if (files[i].there && strchr(files[i].name, '.') != NULL)
			write_file(dir, &files[i]);
}

/* ---- judging ------------------------------------------------------------------- */

enum verdict { WHOLE, LOST, REFUSED };

/* In a process of its own, which a damaged file may bring down. */
static enum verdict
judge(const char *dir, uint64_t acked, uint64_t tried, bool restore)
{
	int status;
	pid_t pid;

	fflush(stdout);
	if ((pid = fork()) == 0) {
		struct kv *kv;

		kv = (restore ? kv_restore : kv_open)(dir, &opts);
		if (kv == NULL)
			_exit(REFUSED);
		_exit(has_all(kv, acked, tried) ? WHOLE : LOST);
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1)
		fatal("fork");
	return WIFEXITED(status) && WEXITSTATUS(status) <= REFUSED ?
	    (enum verdict)WEXITSTATUS(status) : REFUSED;
}

static void
link_or_copy(const char *from, const char *to)
{
	static uint8_t buf[65536];
	int in = open(from, O_RDONLY), out;
	ssize_t n;

	if (in == -1)
		fatal("%s", from);
	if ((out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600)) == -1)
		fatal("%s", to);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			fatal("%s", to);
	close(in);
	close(out);
}

/*
 * The documented repair: the backup's database file, its logs, and those of the
 * image from the backup's last one on.
 */
static enum verdict
repair(const char *backup, const char *image, const char *dir, uint32_t last,
    uint64_t acked, uint64_t tried)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;

	empty_dir(dir);
	make_dirs(dir);
	path_to(from, "%s/data/kv.db", backup);
	path_to(to, "%s/data/kv.db", dir);
	link_or_copy(from, to);
	for (uint32_t n = 1; n < last + FILES; n++) {
		path_to(to, "%s/log/log.%010u", dir, n);
		path_to(from, "%s/log/log.%010u", image,
		    n);
		if (n < last || stat(from, &st) == -1)
			path_to(from, "%s/log/log.%010u",
			    backup, n);
		if (stat(from, &st) == 0)
			link_or_copy(from, to);
	}
	return judge(dir, acked, tried, true);
}

static void
copy_out(struct kv *kv, const char *dir, uint32_t log, uint64_t end)
{
	static uint8_t buf[CHUNK];
	struct file f = { .n = 0 };
	size_t n = CHUNK;
	uint64_t at = 0;

	if (log == 0)
		(void)strlcpy(f.name, "data/kv.db", sizeof(f.name));
	else
		(void)snprintf(f.name, sizeof(f.name), "log/log.%010u", log);
	for (; n == CHUNK; at += n) {
		if (kv_copy_read(kv, log, at, buf, CHUNK, &n) != KV_OK)
			fatalx("a copy cannot be read");
		grow(&f, (size_t)at + n);
		memcpy(f.data + at, buf, n);
	}
	if (end != 0 && end < f.n)
		f.n = (size_t)end;
	write_file(dir, &f);
	free(f.data);
}

/* A backup of before the trace; the last log that it has. */
static uint32_t
take_backup(struct kv *kv, const char *dir)
{
	struct kv_copy c;
	uint32_t first;

	make_dirs(dir);
	if (kv_copy_begin(kv, &c) != KV_OK)
		fatalx("no copy can be begun");
	first = c.first;
	copy_out(kv, dir, 0, 0);
	if (kv_copy_mark(kv, &c) != KV_OK)
		fatalx("no mark");
	for (uint32_t n = first; n <= c.last; n++)
		copy_out(kv, dir, n, n == c.last ? c.last_bytes : 0);
	if (kv_copy_end(kv, c.last) != KV_OK)
		fatalx("no end of the copy");
	return c.last;
}

/* The files as they are before the trace begins, all of them durable. */
static void
load_base(struct file *base)
{
	static const char *const sub[] = { "data", "log" };
	char path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d;

	for (int i = 0; i < 2; i++) {
		path_to(path, "%s/%s", root, sub[i]);
		(void)file_of(path);
		if ((d = opendir(path)) == NULL)
			fatal("%s", path);
		while ((e = readdir(d)) != NULL) {
			int fd, f;

			if (e->d_type != DT_REG)
				continue;
			path_to(path, "%s/%s/%s", root,
			    sub[i], e->d_name);
			f = file_of(path);
			if ((fd = open(path, O_RDONLY)) == -1 ||
			    fstat(fd, &st) == -1)
				fatal("%s", path);
			base[f].there = true;
			grow(&base[f], (size_t)st.st_size);
			if (read(fd, base[f].data, base[f].n) !=
			    (ssize_t)base[f].n)
				fatal("%s", path);
			close(fd);
		}
		closedir(d);
	}
}

/* Up to a random moment: what was acknowledged by then, and tried. */
static size_t
random_moment(uint64_t *acked, uint64_t *tried)
{
	size_t end = 1 + rnd(ntrace);

	/* Every second one right behind an acknowledgement. */
	if (rnd(2) == 0)
		while (end < ntrace && trace[end - 1].what != ACK)
			end++;
	*acked = 0;
	for (size_t i = 0; i < end; i++)
		if (trace[i].what == ACK)
			*acked = (uint64_t)trace[i].off;
	*tried = *acked + 8;
	return end;
}

static int
run_images(const char *dir, unsigned images, bool lying)
{
	static struct file base[FILES];
	static char store[PATH_MAX], image[PATH_MAX], backup[PATH_MAX],
	    mended[PATH_MAX];
	unsigned refused = 0, lost = 0, silent = 0;
	uint64_t acked, tried;
	uint32_t last;
	struct kv *kv;

	path_to(store, "%s/store", dir);
	path_to(image, "%s/image", dir);
	path_to(backup, "%s/backup", dir);
	path_to(mended, "%s/mended", dir);
	root = store;
	fast = true;
	if (mkdir(store, 0700) == -1 || kv_init(store, &opts) != KV_OK ||
	    (kv = kv_open(store, &opts)) == NULL)
		fatalx("no store");
	last = take_backup(kv, backup);
	if (kv_close(kv) != KV_OK)
		fatalx("no store");
	load_base(base);
	recording = true;
	if ((kv = kv_open(store, &opts)) == NULL)
		fatalx("no store");
	workload(kv, 1, STEPS, record_ack);
	recording = false;
	log_set_level(LOG_L_ERR);
	for (unsigned i = 0; i < images; i++) {
		size_t end = random_moment(&acked, &tried);
		uint64_t same = rng;
		enum verdict v;

		make_image(base, image, end, lying);
		v = judge(image, acked, tried, false);
		if (v == REFUSED && !lying) {
			refused++;
			/* As it was before somebody tried to recover it. */
			rng = same;
			make_image(base, image, end, false);
			v = repair(backup, image, mended, last, acked, tried);
		}
		silent += v == LOST;
		if (v != WHOLE) {
			lost++;
			if (!lying)
				printf("image %u: lost, %zu of %zu events, "
				    "%llu acknowledged\n", i, end, ntrace,
				    (unsigned long long)acked);
		}
	}
	if (lying)
		printf("count power-loss control, syncs that lie: images %u, "
		    "lost %u, refused %u\n", images, silent, lost - silent);
	else
		printf("count power-loss images: %u, lost %u (refused and "
		    "mended %u)\n", images, lost, refused);
	return lying ? silent == 0 || lost == silent : lost != 0;
}

/* ---- kill -9 -------------------------------------------------------------------- */

static int ack_fd;

static void
tell_ack(uint64_t k)
{
	if (write(ack_fd, &k, sizeof(k)) != sizeof(k))
		_exit(1);
}

static int
run_kills(const char *dir, unsigned rounds)
{
	uint64_t acked = 0, k;
	unsigned lost = 0;
	char store[PATH_MAX];
	int fd[2], status;
	struct kv *kv;
	pid_t pid;

	path_to(store, "%s/store", dir);
	if (mkdir(store, 0700) == -1 || kv_init(store, &opts) != KV_OK)
		fatalx("no store");
	for (unsigned i = 0; i < rounds; i++) {
		if (pipe(fd) == -1 || (pid = fork()) == -1)
			fatal("fork");
		rng += i;
		if (pid == 0) {
			close(fd[0]);
			ack_fd = fd[1];
			if ((kv = kv_open(store, &opts)) == NULL)
				_exit(1);
			workload(kv, acked + 1, acked + 1000000, tell_ack);
			_exit(0);
		}
		close(fd[1]);
		/* It writes, for some time, and dies wherever it is. */
		if (read(fd[0], &k, sizeof(k)) == sizeof(k))
			acked = k;
		usleep((useconds_t)rnd(40000));
		if (kill(pid, SIGKILL) == -1 || waitpid(pid, &status, 0) == -1)
			fatal("kill");
		while (read(fd[0], &k, sizeof(k)) == sizeof(k))
			acked = k;
		close(fd[0]);
		if (judge(store, acked, acked + 8, false) != WHOLE) {
			lost++;
			printf("round %u: lost\n", i);
		}
	}
	printf("count engine kill rounds: %u, lost %u (%llu batches)\n", rounds,
	    lost, (unsigned long long)acked);
	return lost != 0 || acked < rounds;
}

int
main(int argc, char **argv)
{
	unsigned n;

	log_set_name("powerloss");
	log_set_level(LOG_L_ERR);
	if (argc != 5 || (n = (unsigned)atoi(argv[3])) == 0)
		fatalx("usage: powerloss images|lying|kill DIR N SEED");
	rng = strtoull(argv[4], NULL, 0) * 2654435761u + 88172645463325252u;
	if (strcmp(argv[1], "kill") == 0)
		return run_kills(argv[2], n);
	return run_images(argv[2], n, strcmp(argv[1], "lying") == 0);
}
