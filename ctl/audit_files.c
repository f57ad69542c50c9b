#include "audit_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "log.h"

#define LOG_NAME	"audit.log"

char *
audit_state_path(const char *name)
{
	char *s;

	if (asprintf(&s, "%s/%s", ctl.cfg.state_dir, name) == -1)
		fatalx("out of memory");
	return s;
}

static void
add(struct audit_files *a, const char *dir, const char *name)
{
	char **path = reallocarray(a->path, a->n + 1, sizeof(*path));

	if (path == NULL)
		fatalx("out of memory");
	a->path = path;
	if (asprintf(&path[a->n], "%s%s%s", dir, *dir != '\0' ? "/" : "",
	    name) == -1)
		fatalx("out of memory");
	a->n++;
}

static int
by_name(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* audit.log.N in the order of their numbers, then audit.log. */
static int
find(struct audit_files *a)
{
	const size_t n = strlen(LOG_NAME);
	const struct dirent *e;
	char *dir = audit_state_path("audit");
	DIR *d = opendir(dir);

	if (d == NULL) {
		out_error("%s: %s", dir, strerror(errno));
		free(dir);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, LOG_NAME ".", n + 1) == 0 &&
		    strspn(e->d_name + n + 1, "0123456789") ==
		    strlen(e->d_name + n + 1))
			add(a, dir, e->d_name);
	closedir(d);
	if (a->n > 0)
		qsort(a->path, a->n, sizeof(*a->path), by_name);
	add(a, dir, LOG_NAME);
	free(dir);
	return 0;
}

int
audit_files_open(struct audit_files *a, int n, char **paths)
{
	memset(a, 0, sizeof(*a));
	if (n == 0 && find(a) == -1)
		return -1;
	for (int i = 0; i < n; i++)
		add(a, "", paths[i]);
	if ((a->f = calloc(a->n, sizeof(*a->f))) == NULL)
		fatalx("out of memory");
	for (size_t i = 0; i < a->n; i++)
		if ((a->f[i] = fopen(a->path[i], "re")) == NULL) {
			out_error("%s: %s", a->path[i], strerror(errno));
			return -1;
		}
	return 0;
}

void
audit_files_free(struct audit_files *a)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->f != NULL && a->f[i] != NULL)
			(void)fclose(a->f[i]);
		free(a->path[i]);
	}
	free(a->f);
	free(a->path);
}
