/*
 * Finding words in text, whatever their case.
 */
#ifndef STORAGED_MATCH_H
#define STORAGED_MATCH_H

#include "bytes.h"

#define MATCH_WORDS_MAX		16
#define MATCH_BYTES_MAX		1024	/* of all words */
#define MATCH_EXCERPT_MAX	512

struct match {
	struct buf	 folded;	/* the words, then texts */
	struct bytes	 word[MATCH_WORDS_MAX];
	size_t		 nwords;
	struct buf	 text;
};

/*
 * Take the words, which spaces separate, from well-formed UTF-8.  0, or -1 when
 * there are none, too many or too long ones; match_free() in any case.
 */
int match_init(struct match *m, struct bytes words);
/*
 * Whether every word is somewhere in the text (well-formed UTF-8, at most
 * 1 MiB); *at is where the first of them is.  Letters are compared without
 * their case as far as the locale knows it and both are equally long in UTF-8.
 */
bool match_text(struct match *m, struct bytes text, size_t *at);
/*
 * One line of the text around `at', of at most MATCH_EXCERPT_MAX bytes, whole
 * characters.  Appends to out.
 */
void match_excerpt(struct buf *out, struct bytes text, size_t at);
void match_free(struct match *m);

#endif
