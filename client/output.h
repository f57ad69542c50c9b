/*
 * How an answer is shown: as it comes or when it is whole, rendered for a
 * terminal, byte for byte, as JSON, or its last block of code alone.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include "args.h"
#include "msg.h"

struct output;

/*
 * For one answer, as the options and standard output have it.  Dies without
 * memory.
 */
struct output *output_new(const struct args *args);
/* NULL is allowed. */
void output_free(struct output *o);
/* Text of the answer, or its model's reasoning.  0, or -1 after telling the user. */
int output_text(struct output *o, struct bytes text);
void output_reasoning(struct output *o, struct bytes text);
/*
 * The answer has ended: by e, or, with NULL, by an error that is told
 * afterwards.  Show what was held back.  0, or -1 after telling the user.
 */
int output_end(struct output *o, const struct m_s_end *e);

/*
 * The last fenced block of code in text, without its fences; all of text when
 * there is none.
 */
struct bytes output_code(struct bytes text);

#endif
