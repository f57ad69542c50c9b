#include "highlight.h"

#include <ctype.h>
#include <string.h>

#include "style.h"

struct language {
	const char	*names;		/* words, each between blanks */
	const char	*comment;	/* begins one, up to the line's end */
	const char	*quotes;	/* each ends what it begins */
	bool		 any_case;	/* of keywords */
	const char	*keywords;	/* words, each between blanks */
};

static const struct language languages[] = {
	{ " c h cpp c++ cc hpp java javascript js jsx typescript ts tsx go rust "
	    "rs csharp cs c# kotlin swift scala php zig dart ", "//", "\"'`",
	    false,
	    " abstract as async await bool boolean break case catch char class "
	    "const constexpr continue crate default defer delete do double else "
	    "enum export extends extern false final finally float fn for func "
	    "function go goto if impl implements import in int interface let "
	    "long loop match mod module mut namespace new nil null nullptr "
	    "override package private protected pub public range return self "
	    "short signed sizeof static struct super switch template this throw "
	    "trait true try type typedef typename typeof union unsafe unsigned "
	    "use using val var virtual void volatile where while yield " },
	{ " python py python3 ", "#", "\"'", false,
	    " False None True and as assert async await break class continue def "
	    "del elif else except finally for from global if import in is lambda "
	    "nonlocal not or pass raise return try while with yield match case " },
	{ " sh bash shell zsh console make makefile dockerfile ", "#", "\"'",
	    false,
	    " case do done elif else esac exit export fi for function if in local "
	    "return set then trap until while FROM RUN COPY CMD ENV " },
	{ " ruby rb perl pl elixir ex r julia jl ", "#", "\"'", false,
	    " and begin case class def defmodule do else elsif end ensure false "
	    "fn for foreach function if in module my nil not or our package "
	    "print rescue return self sub then true unless until use when "
	    "while yield " },
	{ " sql postgres postgresql mysql sqlite ", "--", "'\"", true,
	    " add all alter and as asc begin between by case commit constraint "
	    "create cross default delete desc distinct drop else end exists "
	    "foreign from full group having if in index inner insert into is join "
	    "key left like limit not null offset on or order outer primary "
	    "references returning right rollback select set table then union "
	    "unique update using values view when where with " },
	{ " lua haskell hs ada ", "--", "\"'", false,
	    " and begin case class data do else elseif end false for function if "
	    "import in instance is let local module nil not of or procedure "
	    "repeat return then true type until where while " },
	{ " json yaml yml toml ini conf ", "#", "\"", false,
	    " true false null yes no " },
	{ " lisp scheme clojure elisp ", ";", "\"", false,
	    " defn defun define defmacro fn if lambda let loop nil cond " },
};
#define NLANGUAGES	(sizeof(languages) / sizeof(languages[0]))

static bool
is_word(uint8_t c)
{
	return isalnum(c) || c == '_' || c >= 0x80;
}

/* Whether words, each between blanks, hold w. */
static bool
among(const char *words, struct bytes w, bool any_case)
{
	for (const char *p = words + 1; *p != '\0'; p++) {
		size_t n = strcspn(p, " ");

		if (n == w.n && (any_case ? strncasecmp(p, (const char *)w.p,
		    n) : strncmp(p, (const char *)w.p, n)) == 0)
			return true;
		p += n;
	}
	return false;
}

const struct language *
highlight_language(struct bytes info)
{
	size_t n = 0;

	while (n < info.n && info.p[n] > ' ' && info.p[n] != '{')
		n++;
	for (size_t i = 0; n > 0 && i < NLANGUAGES; i++)
		if (among(languages[i].names, bytes_of(info.p, n), true))
			return &languages[i];
	return NULL;
}

static void
styled(struct buf *out, const char *style, struct bytes b)
{
	buf_str(out, style);
	buf_put(out, b.p, b.n);
	buf_str(out, STYLE_END);
}

/* How long the string is that begins at s with its quote. */
static size_t
string_length(struct bytes s)
{
	size_t n = 1;

	while (n < s.n && s.p[n] != s.p[0])
		n += s.p[n] == '\\' && n + 1 < s.n ? 2 : 1;
	return n < s.n ? n + 1 : s.n;
}

void
highlight_line(const struct language *l, struct bytes line, struct buf *out)
{
	size_t n, comment = l != NULL ? strlen(l->comment) : 0;
	bool in_word = false;

	for (; l != NULL && line.n > 0; line = bytes_of(line.p + n, line.n - n)) {
		uint8_t c = line.p[0];

		if (line.n >= comment && !in_word &&
		    memcmp(line.p, l->comment, comment) == 0) {
			styled(out, STYLE_COMMENT, line);
			return;
		}
		n = 1;
		if (c != '\0' && strchr(l->quotes, c) != NULL && !in_word) {
			n = string_length(line);
			styled(out, STYLE_STRING, bytes_of(line.p, n));
			continue;
		}
		if (!is_word(c)) {
			in_word = false;
			buf_u8(out, c);
			continue;
		}
		while (n < line.n && is_word(line.p[n]))
			n++;
		in_word = true;
		if (isdigit(c))
			styled(out, STYLE_NUMBER, bytes_of(line.p, n));
		else if (among(l->keywords, bytes_of(line.p, n), l->any_case))
			styled(out, STYLE_KEYWORD, bytes_of(line.p, n));
		else
			buf_put(out, line.p, n);
	}
	buf_put(out, line.p, line.n);
}
