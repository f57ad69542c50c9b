/*
 * Reading tests/vectors/X.txt: lines "name = hex", '#' starts a comment line, an empty
 * value is the empty string.  Programs run in the project's root.
 */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

#define VECTOR_MAX	32768	/* bytes of one value */

/* The value of name in the file, in memory of the heap; dies if it is not there. */
static struct bytes
vector_get(const char *path, const char *name)
{
	static char line[2 * VECTOR_MAX + 128];
	FILE *fp;
	uint8_t *p;
	char *value;
	size_t n;

	if ((fp = fopen(path, "r")) == NULL)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), fp) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || (value = strstr(line, " =")) == NULL)
			continue;
		*value = '\0';
		value += 2;
		if (*value == ' ')
			value++;
		if (strcmp(line, name) != 0)
			continue;
		n = strlen(value) / 2;
		if ((p = malloc(n + 1)) == NULL || hex_decode(p, n, value) != 0)
			errx(1, "%s: %s is not hexadecimal", path, name);
		(void)fclose(fp);
		return bytes_of(p, n);
	}
	errx(1, "%s: no %s", path, name);
}

static void
vector_free(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

#endif
