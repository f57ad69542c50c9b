#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "role.h"

/* spawn.c: what a role's numbers and the monitor's copies of them must fit. */
#define MAX_ROLE_FDS	128
#define HIGH_FD		200

static const int provider_counts[] = { 1, 2, ROLE_MAX_PROVIDERS };
#define COUNTS	(sizeof(provider_counts) / sizeof(provider_counts[0]))

static bool
holds(enum role_id role, enum link_id link)
{
	return link_decls[link].a == role || link_decls[link].b == role;
}

static int
peers(enum role_id role, enum link_id link, int providers)
{
	const struct link_decl *d = &link_decls[link];

	return role_instances(d->a == role ? d->b : d->a, providers);
}

static void
claim(int *used, int fd)
{
	assert_true(fd >= FD_FIRST);
	assert_true(fd < MAX_ROLE_FDS);
	assert_int_equal(used[fd], 0);
	used[fd] = 1;
}

/* Every number of a role is used once, and none in between is left out. */
static void
numbering(enum role_id role, int providers)
{
	int used[MAX_ROLE_FDS] = { 0 }, extra = role_extra_fd(role, providers);
	int more = role == ROLE_LOGGER ? role_total(providers) + 1 :
	    role == ROLE_SESSIOND ? ROLE_MAX_LISTENERS : 0;

	for (int l = 0; l < LINKS; l++)
		if (holds(role, (enum link_id)l))
			for (int i = 0; i < peers(role, (enum link_id)l,
			    providers); i++)
				claim(used, role_link_fd(role, providers,
				    (enum link_id)l, i));
	for (int f = 0; f < FILES; f++)
		if (file_roles[f] == role)
			claim(used, role_file_fd(role, providers,
			    (enum file_id)f));
	for (int i = FD_FIRST; i < extra; i++)
		assert_int_equal(used[i], 1);
	assert_true(extra + more <= MAX_ROLE_FDS);
	for (int i = extra; i < MAX_ROLE_FDS; i++)
		assert_int_equal(used[i], 0);
}

static void
no_overlap(void **state)
{
	(void)state;
	assert_true(MAX_ROLE_FDS < HIGH_FD);
	for (size_t c = 0; c < COUNTS; c++)
		for (int r = 0; r < ROLES; r++)
			numbering((enum role_id)r, provider_counts[c]);
}

/* A link joins two different roles, at most one of which is multiple. */
static void
links(void **state)
{
	(void)state;
	for (int l = 0; l < LINKS; l++) {
		const struct link_decl *d = &link_decls[l];

		assert_true(d->a < ROLES && d->b < ROLES && d->a != d->b);
		assert_false(role_decls[d->a].multi && role_decls[d->b].multi);
		assert_true(d->kind < CH_KINDS);
		for (int k = 0; k < l; k++)
			assert_int_not_equal(link_decls[k].kind, d->kind);
	}
}

/* Of two roles that a link joins, the one that is restarted says hello. */
static void
kept_links_have_hello(void **state)
{
	(void)state;
	for (int l = 0; l < LINKS; l++) {
		const struct link_decl *d = &link_decls[l];

		for (int end = 0; end < 2; end++) {
			bool found = false;

			if (!role_decls[end == 0 ? d->a : d->b].keep ||
			    d->kind == CH_SESSD_ZYG)
				continue;
			for (int t = 0; t < MSG_TYPES; t++) {
				const struct msg_desc *m =
				    msg_desc((enum msg_type)t);

				if (m->kind == d->kind && m->dir ==
				    (end == 0 ? AB : BA) &&
				    strstr(m->name, "_hello") != NULL)
					found = true;
			}
			assert_true(found);
		}
	}
}

static void
indexes(void **state)
{
	(void)state;
	for (size_t c = 0; c < COUNTS; c++) {
		int p = provider_counts[c], n = 0;

		for (int r = 0; r < ROLES; r++)
			for (int i = 0; i < role_instances((enum role_id)r, p);
			    i++)
				assert_int_equal(role_index((enum role_id)r, i,
				    p), n++);
		assert_int_equal(role_total(p), n);
		assert_int_equal(n, ROLES - 1 + p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_overlap),
		cmocka_unit_test(links),
		cmocka_unit_test(kept_links_have_hello),
		cmocka_unit_test(indexes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
