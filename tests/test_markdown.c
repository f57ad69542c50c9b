/* markdown.c, markdown_table.c, highlight.c: what is shown, cut everywhere. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "highlight.h"
#include "markdown.h"
#include "markdown_table.h"
#include "output.h"
#include "style.h"

#define B	STYLE_END STYLE_BOLD
#define I	STYLE_END STYLE_ITALIC
#define BI	STYLE_END STYLE_BOLD STYLE_ITALIC
#define C	STYLE_END STYLE_CODE
#define H	STYLE_END STYLE_HEADING
#define E	STYLE_END
#define D	STYLE_DIM
#define BAR	" " D "│" E " "

static void
render(struct buf *out, const char *in, size_t cut, size_t step)
{
	struct markdown *md = markdown_new(40);
	size_t n = strlen(in), k = cut;

	for (size_t i = 0; i < n; i += k, k = step) {
		if (k > n - i)
			k = n - i;
		markdown_feed(md, bytes_of(in + i, k), out);
	}
	markdown_end(md, out);
	markdown_free(md);
	buf_u8(out, 0);
	assert_false(out->err);
}

/* However it is cut, the same is shown. */
static void
shows(const char *in, const char *want)
{
	struct buf out = BUF_INIT(1 << 20);
	size_t n = strlen(in);

	for (size_t cut = 0; cut <= n; cut++) {
		render(&out, in, cut, n + 1);
		assert_string_equal((char *)out.p, want);
		buf_reset(&out);
	}
	render(&out, in, 1, 1);
	assert_string_equal((char *)out.p, want);
	buf_free(&out);
}

static void
test_text(void **state)
{
	(void)state;
	shows("", "");
	shows("plain\n\ntext", "plain\n\ntext");
	shows("a **bold** b", "a " B "bold" E " b");
	shows("*it* and _it_", I "it" E " and " I "it" E);
	shows("***both***\n", BI "both" E "\n");
	shows("**b *i* b**\n", B "b " BI "i" B " b" E "\n");
	shows("`code *x*` y", C "code *x*" E " y");
	shows("``a ` b``", C "a ` b" E);
	/* What only looks like it. */
	shows("2 * 3 * 4", "2 * 3 * 4");
	shows("snake_case_name", "snake_case_name");
	shows("a \\*b\\* \\c", "a *b* \\c");
	shows("end\\", "end\\");
	shows("x ** y", "x ** y");
	/* What is not closed ends with its paragraph. */
	shows("**open\n\nnext", B "open\n" E "\nnext");
	shows("**open", B "open" E);
}

static void
test_blocks(void **state)
{
	(void)state;
	shows("# Title\ntext", H "Title" E "\ntext");
	shows("###### six **b**\n", H "six " E STYLE_HEADING STYLE_BOLD "b"
	    E STYLE_HEADING E "\n");
	shows("####### seven", "####### seven");
	shows("#tag", "#tag");
	shows("- one\n  * two\n+ three", "• one\n  • two\n• three");
	shows("-dash", "-dash");
	shows("1. one\n2) two", "1. one\n2) two");
	shows("> quoted *x*", D "│" E " quoted " I "x" E);
	shows("**b** first", B "b" E " first");
	shows("* 2 * 3", "• 2 * 3");
	shows("---\n", D "────────────────────────────────────────" E "\n");
	shows("***\n", D "────────────────────────────────────────" E "\n");
	shows("---x\n", "---x\n");
}

static void
test_code(void **state)
{
	(void)state;
	shows("```\na *b* # c\n```\nd", D "```" E "\na *b* # c\n" D "```" E
	    "\nd");
	shows("~~~~ c\nint x = 42; // no\n~~~\n~~~~", D "~~~~ c" E "\n"
	    STYLE_KEYWORD "int" E " x = " STYLE_NUMBER "42" E "; "
	    STYLE_COMMENT "// no" E "\n~~~\n" D "~~~~" E "\n");
	shows("  ```python\n  s = 'a\\'b' if x1 else 0\n  ```",
	    D "```python" E "\n  s = " STYLE_STRING "'a\\'b'" E " "
	    STYLE_KEYWORD "if" E " x1 " STYLE_KEYWORD "else" E " "
	    STYLE_NUMBER "0" E "\n" D "```" E "\n");
	/* Not closed. */
	shows("```sql\nselect 1", D "```sql" E "\n" STYLE_KEYWORD "select" E
	    " " STYLE_NUMBER "1" E "\n");
	/* Code in a line that begins like a fence. */
	shows("```x``` y", C "x" E " y\n");
}

static void
test_tables(void **state)
{
	(void)state;
	shows("| a | bb |\n|---|---:|\n| ccc | d |\n\nend",
	    STYLE_BOLD "a" E "  " BAR STYLE_BOLD "bb" E "\n" D "────┼───" E
	    "\nccc" BAR " d\n\nend");
}

static void
test_table_shapes(void **state)
{
	(void)state;
	/* Without a rule, with a cell that is missing, with one too many. */
	shows("|a|b|\n|c|\n|d|e|f|", "a" BAR "b" BAR "\n" "c" BAR " " BAR
	    "\n" "d" BAR "e" BAR "f\n");
	/* Too wide to be aligned. */
	shows("| aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | b |\n|c|d|\n",
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" BAR "b\nc" BAR "d\n");
	/* A bar in a cell; wide characters take two columns. */
	shows("|x\\|y|z|\n|\xe6\xbc\xa2|w|\n", "x|y" BAR "z\n\xe6\xbc\xa2 " BAR
	    "w\n");
}

/* Rows and lines without end are not gathered for ever. */
static void
test_bounds(void **state)
{
	struct buf out = BUF_INIT(64u << 20);
	struct markdown *md = markdown_new(40);
	static char block[4096];

	(void)state;
	memset(block, '`', sizeof(block));
	for (int i = 0; i < 1024; i++)
		markdown_feed(md, bytes_of(block, sizeof(block)), &out);
	markdown_feed(md, bytes_str("\n```\n\n"), &out);
	for (int i = 0; i < 3 * TABLE_MAX_ROWS; i++)
		markdown_feed(md, bytes_str("| a | b |\n"), &out);
	assert_true(out.n > 0);
	markdown_end(md, &out);
	assert_false(out.err);
	markdown_free(md);
	buf_free(&out);
}

static void
test_extract(void **state)
{
	static const struct {
		const char *in, *code;
	} t[] = {
		{ "no code", "no code" },
		{ "", "" },
		{ "a\n```c\nint x;\n```\nb", "int x;\n" },
		{ "```\none\n```\n~~~\ntwo\n~~~\n", "two\n" },
		{ "````\n```\nin\n```\n````\n", "```\nin\n```\n" },
		{ "```\nopen\n", "open\n" },
		{ "```\n```", "" },
	};
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		b = output_code(bytes_str(t[i].in));
		assert_true(bytes_eq(b, bytes_str(t[i].code)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_code),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_table_shapes),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_extract),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
