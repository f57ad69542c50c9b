/*
 * Mutants of one source file, for mutants.sh.
 *
 *   mutate FILE      list them: number, line, operator, what is changed
 *   mutate FILE N    FILE with the Nth of them, to standard output
 *
 * Of messages.def: each state that a message is not permitted in is added, its
 * direction is turned, its descriptor flag is turned, the bound of a field is
 * doubled.  (A FIX field is a part of the structures: no other length decodes.)
 * Of a .c file: a check is an `if' that leads to an error, by its body or by
 * its else, or a `return' of a condition.
 *
 *   drop    an operand of such a condition is as if the check were not there
 *   bound   one of its comparisons admits one more value, or one fewer
 *   equal   bytes_eq_ct() finds everything equal
 *
 * Operands are still evaluated, for what they do besides.
 */
#include <ctype.h>
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX	(1 << 20)
#define KINDS_MAX	64
#define STATES_MAX	16

static char src[FILE_MAX];	/* the file */
static char code[FILE_MAX];	/* with comments and texts blanked */
static size_t len;
static long wanted = -1;	/* the mutant to print; -1: list */
static long count;
/* A mutant is listed as `owner', then this part of the file. */
static char owner[128];
static size_t label_from, label_to;

/* What the body of an `if' has when its condition is a check. */
static const char *const failing[] = {
	"return", "goto ", "fail(", "fatalx(", "violation(", "role_link_lost(",
	"_error(", "refuse(", "_end(", "warn(", "break;", "continue;",
};

/* What the value has that a failed check returns. */
static const char *const failed[] = {
	"-1", "fail(", "MSG_DENIED", "MSG_MALFORMED", "false", "\"", "RSA_E",
	"HS_E", "RECORD_E",
};

/* What is the system's failure, not a check of what came from elsewhere. */
static const char *const systems[] = {
	"EINTR", "EAGAIN", "malloc(", "calloc(", "reallocarray(", "strdup(",
	"errno", "fcntl(", "poll(", "chan_pair(", "wait_writable(",
};

static void
blank_text(void)
{
	enum { CODE, LINE, BLOCK, STRING, CHAR } in = CODE;

	memcpy(code, src, len);
	for (size_t i = 0; i < len; i++) {
		char c = src[i], d = i + 1 < len ? src[i + 1] : '\0';

		if (in == CODE) {
			in = c == '/' && d == '*' ? BLOCK : c == '/' &&
			    d == '/' ? LINE : c == '"' ? STRING : c == '\'' ?
			    CHAR : CODE;
			if (in == CODE || in == STRING || in == CHAR)
				continue;
		} else if (in == LINE && c == '\n') {
			in = CODE;
			continue;
		} else if (in == BLOCK && c == '*' && d == '/') {
			code[i] = code[i + 1] = ' ';
			i++;
			in = CODE;
			continue;
		} else if ((in == STRING && c == '"') ||
		    (in == CHAR && c == '\'')) {
			in = CODE;
			continue;
		} else if ((in == STRING || in == CHAR) && c == '\\') {
			code[i] = code[i + 1] = ' ';
			i++;
			continue;
		}
		if (c != '\n')
			code[i] = ' ';
	}
}

static void
print(size_t from, size_t to)
{
	if (fwrite(src + from, 1, to - from, stdout) != to - from)
		err(2, "stdout");
}

static size_t
line_of(size_t at)
{
	size_t n = 1;

	for (size_t i = 0; i < at; i++)
		n += src[i] == '\n';
	return n;
}

/* A mutant: [from, to) becomes before [from, to) after; with NULL, `after'. */
static void
mutant(const char *op, size_t from, size_t to, const char *before,
    const char *after)
{
	bool space = false;

	if (++count == wanted) {
		print(0, from);
		if (before != NULL) {
			(void)fputs(before, stdout);
			print(from, to);
		}
		(void)fputs(after, stdout);
		print(to, len);
		exit(0);
	}
	if (wanted != -1)
		return;
	printf("%ld\t%zu\t%s\t%s", count, line_of(from), op, owner);
	for (size_t i = label_from; i < label_to; i++) {
		bool blank = isspace((unsigned char)src[i]) != 0;

		if (space && !blank && i > label_from)
			putchar(' ');
		if (!blank)
			putchar(src[i]);
		space = blank;
	}
	printf("%s%s\n", before == NULL ? " -> " : "",
	    before == NULL ? after : "");
}

/* ---- C ------------------------------------------------------------------- */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Whether the word w stands at i. */
static bool
word_at(size_t i, const char *w)
{
	size_t n = strlen(w);

	return i + n < len && memcmp(code + i, w, n) == 0 &&
	    (i == 0 || !is_word(code[i - 1])) && !is_word(code[i + n]);
}

static size_t
skip_space(size_t i)
{
	while (i < len && isspace((unsigned char)code[i]))
		i++;
	return i;
}

/* After the bracket that closes the one at i. */
static size_t
closing(size_t i)
{
	int depth = 0;

	for (; i < len; i++) {
		depth += strchr("([{", code[i]) != NULL;
		depth -= strchr(")]}", code[i]) != NULL;
		if (depth == 0)
			return i + 1;
	}
	return len;
}

/* The first `what' in [i, end) outside of brackets, or end. */
static size_t
find_flat(size_t i, size_t end, const char *what)
{
	size_t n = strlen(what);

	while (i < end) {
		if (i + n <= end && memcmp(code + i, what, n) == 0)
			return i;
		i = strchr("([{", code[i]) != NULL ? closing(i) : i + 1;
	}
	return end;
}

/* After the statement at i. */
static size_t
statement(size_t i)
{
	i = skip_space(i);
	if (code[i] == '{')
		return closing(i);
	i = find_flat(i, len, ";");
	return i < len ? i + 1 : len;
}

static bool
has(size_t from, size_t to, const char *const *what, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (memmem(code + from, to - from, what[k], strlen(what[k])) !=
		    NULL)
			return true;
	return false;
}

static bool
has_failing(size_t from, size_t to)
{
	return has(from, to, failing, sizeof(failing) / sizeof(failing[0]));
}

static bool
has_failed(size_t from, size_t to)
{
	return has(from, to, failed, sizeof(failed) / sizeof(failed[0]));
}

static bool
of_system(size_t from, size_t to)
{
	return has(from, to, systems, sizeof(systems) / sizeof(systems[0]));
}

/* <, <=, > and >= off by one. */
static void
comparisons(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		char c = code[i], d = code[i + 1];

		if ((c != '<' && c != '>') || code[i - 1] == '-')
			continue;
		if (d == c) {
			i++;
			continue;
		}
		if (d == '=')
			mutant("bound", i, i + 2, NULL, c == '<' ? "<" : ">");
		else
			mutant("bound", i, i + 1, NULL, c == '<' ? "<=" : ">=");
	}
}

/* The operands of || or && of a condition become `value' for the program. */
static void
operands(size_t from, size_t to, const char *joint, const char *value)
{
	while (from < to) {
		size_t end = find_flat(from, to, joint);

		label_from = from = skip_space(from);
		label_to = end;
		if (!of_system(from, end))
			mutant("drop", from, end, "((", value);
		comparisons(from, end);
		from = end + 2;
	}
}

static void
at_if(size_t i)
{
	size_t from = skip_space(i + 2), to = closing(from) - 1;
	size_t body = to + 1, end = statement(body), other;

	if (code[from++] != '(')
		return;
	other = skip_space(end);
	if (has_failing(body, end))
		operands(from, to, "||", ") && 0)");
	else if (word_at(other, "else") &&
	    has_failing(other + 4, statement(other + 4)))
		operands(from, to, "&&", ") || 1)");
}

/* return A && B; return A ? 0 : -1; */
static void
at_return(size_t i)
{
	size_t from = skip_space(i + 6), to = find_flat(from, len, ";");
	size_t mark = find_flat(from, to, "?");

	if (mark < to) {
		size_t colon = find_flat(mark, to, ":");
		bool first = has_failed(mark, colon);

		if (first == has_failed(colon, to))
			return;
		to = mark;
		if (first)
			operands(from, to, "||", ") && 0)");
		else
			operands(from, to, "&&", ") || 1)");
	} else if (find_flat(from, to, "&&") < to)
		operands(from, to, "&&", ") || 1)");
	else if (find_flat(from, to, "||") < to)
		operands(from, to, "||", ") && 0)");
}

static void
in_code(void)
{
	blank_text();
	for (size_t i = 1; i < len; i++) {
		if (word_at(i, "if") && code[i - 1] != '#')
			at_if(i);
		else if (word_at(i, "return"))
			at_return(i);
		else if (word_at(i, "bytes_eq_ct")) {
			label_from = i;
			label_to = closing(i + 11);
			mutant("equal", i, i + 11, NULL, "1 + 0 * bytes_eq_ct");
		}
	}
}

/* ---- messages.def -------------------------------------------------------- */

static char kind[KINDS_MAX][32], state[KINDS_MAX][STATES_MAX][32];
static size_t nkinds, nstates[KINDS_MAX];

static size_t
kind_index(const char *name)
{
	size_t k = 0;

	while (k < nkinds && strcmp(kind[k], name) != 0)
		k++;
	if (k == nkinds) {
		if (nkinds++ == KINDS_MAX)
			errx(2, "too many kinds of channel");
		(void)snprintf(kind[k], sizeof(kind[k]), "%s", name);
	}
	return k;
}

static void
load_states(void)
{
	char k[32], s[32];
	unsigned bit;

	for (size_t i = 0; i < len; i++)
		if (word_at(i, "STATE") && sscanf(code + i,
		    "STATE(%31[A-Z_], %31[A-Z_], %u)", k, s, &bit) == 3) {
			size_t x = kind_index(k);

			if (nstates[x] == STATES_MAX)
				errx(2, "too many states");
			(void)snprintf(state[x][nstates[x]++], sizeof(s), "%s",
			    s);
		}
}

/* MSG(name, number, KIND, dir, states, fd) */
static void
at_msg(size_t i)
{
	size_t at[7], end = closing(i + 3), x;
	char k[32], name[40], more[80];

	for (at[0] = i + 4, x = 1; x < 7; x++)
		at[x] = find_flat(at[x - 1], end - 1, ",") + 1;
	if (sscanf(code + skip_space(at[2]), "%31[A-Z_]", k) != 1 ||
	    sscanf(code + at[0], "%39[a-z_]", name) != 1 || at[6] != end)
		return;		/* the definition of MSG itself */
	x = kind_index(k);
	label_from = label_to = 0;
	for (size_t s = 0; s < nstates[x]; s++) {
		(void)snprintf(more, sizeof(more), "%s_%s", k, state[x][s]);
		for (size_t p = at[4]; p < at[5]; p++)
			if (word_at(p, more))
				more[0] = '\0';
		if (more[0] == '\0')
			continue;
		(void)snprintf(more, sizeof(more), " | %s_%s", k, state[x][s]);
		(void)snprintf(owner, sizeof(owner), "%s%s", name, more);
		mutant("state", i, at[5] - 1, "", more);
	}
	(void)snprintf(owner, sizeof(owner), "%s ", name);
	mutant("direction", at[3], at[4] - 1, NULL,
	    code[skip_space(at[3])] == 'A' ? " BA" : " AB");
	mutant("descriptor", at[5], end - 1, NULL,
	    code[skip_space(at[5])] == '0' ? " 1" : " 0");
}

static void
in_table(void)
{
	blank_text();
	load_states();
	for (size_t i = 1; i < len; i++) {
		if (word_at(i, "MSG") && code[i - 1] == '\n')
			at_msg(i);
		else if ((word_at(i, "BYTES") || word_at(i, "TEXT")) &&
		    strchr("\t )", code[i - 1]) != NULL) {
			size_t open = find_flat(i, len, "("), c;

			c = find_flat(open + 1, closing(open) - 1, ",");
			label_from = i;
			label_to = closing(open);
			if (isdigit((unsigned char)code[skip_space(c + 1)]))
				mutant("length", i, closing(open) - 1, "",
				    " * 2");
		}
	}
}

int
main(int argc, char **argv)
{
	FILE *f;
	size_t n;

	if (argc != 2 && argc != 3)
		errx(2, "usage: mutate file [number]");
	if (argc == 3)
		wanted = atol(argv[2]);
	if ((f = fopen(argv[1], "r")) == NULL)
		err(2, "%s", argv[1]);
	if ((len = fread(src, 1, FILE_MAX - 1, f)) == FILE_MAX - 1 ||
	    ferror(f) != 0)
		err(2, "%s", argv[1]);
	(void)fclose(f);
	n = strlen(argv[1]);
	if (n > 4 && strcmp(argv[1] + n - 4, ".def") == 0)
		in_table();
	else
		in_code();
	if (wanted != -1)
		errx(2, "%s has %ld mutants", argv[1], count);
	return 0;
}
