/* What a user may: limits and models. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "userlimits.h"

int
cmd_user_show(int argc, char **argv)
{
	struct m_av_user_show m = { .name = ctl_user_name(argv[1]) };

	(void)argc;
	return ctl_ask(MSG_av_user_show, &m);
}

int
cmd_usage(int argc, char **argv)
{
	struct m_av_usage m = { 0 };

	if (argc > 1)
		m.user = ctl_user_name(argv[1]);
	return ctl_ask(MSG_av_usage, &m);
}

/* Every limit there is, for a person. */
static void
say_limits(const char *what)
{
	out_error("%s: a limit is NAME=NUMBER or NAME=default, with NAME one "
	    "of:", what);
	for (int i = 0; i < LIMITS; i++)
		out_error("%s (%s, at most %llu)", limit_decls[i].name,
		    limit_decls[i].unit,
		    (unsigned long long)limit_decls[i].max);
}

/* "sessions=5" into a message's list: 0, or -1 and it was said. */
static int
add_limit(struct buf *b, const char *word)
{
	const char *value = strchr(word, '=');
	enum limit l = LIMITS;
	unsigned long long n = 0;
	char name[32], *end;

	if (value != NULL && (size_t)(value - word) < sizeof(name)) {
		memcpy(name, word, (size_t)(value - word));
		name[value - word] = '\0';
		l = limit_find(name);
		value++;
	}
	if (l == LIMITS) {
		say_limits(word);
		return -1;
	}
	if (strcmp(value, "default") != 0) {
		errno = 0;
		n = strtoull(value, &end, 10);
		if (!isdigit((unsigned char)*value) || *end != '\0' ||
		    errno != 0 || n == 0 || n > limit_decls[l].max) {
			say_limits(word);
			return -1;
		}
	}
	buf_u8(b, limit_decls[l].number);
	buf_u64(b, n);
	return 0;
}

int
cmd_user_limit(int argc, char **argv)
{
	struct m_av_user_limit m = { .name = ctl_user_name(argv[1]) };
	struct buf set = BUF_INIT(144);
	int r = CTL_FAILED;

	for (int i = 2; i < argc; i++)
		if (add_limit(&set, argv[i]) == -1)
			goto out;
	if (set.err) {
		out_error("too many limits at once");
		goto out;
	}
	m.set = buf_bytes(&set);
	r = ctl_ask(MSG_av_user_limit, &m);
out:
	buf_free(&set);
	return r;
}

int
cmd_model_list(int argc, char **argv)
{
	struct m_av_model_list m = { 0 };

	if (argc > 1)
		m.user = ctl_user_name(argv[1]);
	return ctl_ask(MSG_av_model_list, &m);
}

/* NAME MODEL, or --all NAME. */
static int
set_model(int argc, char **argv, uint8_t allow)
{
	struct m_av_model_set m = { .allow = allow };

	if (strcmp(argv[1], "--all") == 0)
		(void)ctl_flag(&argc, argv, "--all", 1);
	else {
		m.model = bytes_str(argv[2]);
		if (m.model.n == 0 || m.model.n > 64) {
			out_error("there is no such model");
			return CTL_FAILED;
		}
	}
	m.user = ctl_user_name(argv[1]);
	return ctl_ask(MSG_av_model_set, &m);
}

int
cmd_model_allow(int argc, char **argv)
{
	return set_model(argc, argv, 1);
}

int
cmd_model_deny(int argc, char **argv)
{
	return set_model(argc, argv, 0);
}
