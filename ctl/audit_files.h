/* The audit log's files, opened in their order. */
#ifndef CTL_AUDIT_FILES_H
#define CTL_AUDIT_FILES_H

#include <stdio.h>

struct audit_files {
	char	**path;
	FILE	**f;
	size_t	  n;
};

/*
 * Open the files that are named, or (n is 0) those of the configured service,
 * the oldest first.  0, or -1 after saying why; in both cases audit_files_free()
 * comes later.
 */
int audit_files_open(struct audit_files *a, int n, char **paths);
void audit_files_free(struct audit_files *a);
/* state_dir/NAME; the caller frees. */
char *audit_state_path(const char *name);

#endif
