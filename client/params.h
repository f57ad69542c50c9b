/* Parameters of the model, as the user says them: name=value. */
#ifndef CLIENT_PARAMS_H
#define CLIENT_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As c_options has them: 0 is not said. */
struct params {
	uint32_t	max_tokens;
	uint32_t	temperature;	/* thousandths and 1 */
	uint32_t	top_p;		/* thousandths and 1 */
};

/*
 * Set name to the value.  Returns 0, or -1 with a message in err: no such
 * parameter, or a value that it cannot have.
 */
int params_set(struct params *p, const char *name, const char *value, char *err,
    size_t errlen);
/* The same for "name=value". */
int params_parse(struct params *p, const char *text, char *err, size_t errlen);
/* Take from other what p does not say. */
void params_merge(struct params *p, const struct params *other);
/* Whether anything is said. */
bool params_any(const struct params *p);

#endif
