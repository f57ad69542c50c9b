/*
 * The events of the audit log (events.def), and the fields that a line carries.
 *
 * On the way from a process to the logger the fields are one text of words
 * `name=value`: a value is a number without sign, in digits, or a string in
 * double quotes, in which \" and \\ stand for " and \.  What is no such text is
 * a sentence.
 */
#ifndef COMMON_EVENTS_H
#define COMMON_EVENTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event {
#define EVENT(id, name, who, fields, help) EV_##id,
#include "events.def"
	EVENTS
};

struct event_decl {
	const char	*name;		/* "auth.accept" */
	uint32_t	 who;		/* a bit for each role_id, and ROLES: monitor */
	const char	*fields;
	const char	*help;
};

extern const struct event_decl event_decls[EVENTS];

/* The event of that name, or EVENTS. */
enum event event_find(const char *name);

#define FIELD_NAME_MAX	32	/* with NUL */
#define FIELD_VALUE_MAX	1024	/* with NUL */
#define FIELDS_MAX	16	/* in one text */

struct field {
	char		name[FIELD_NAME_MAX];	/* [a-z][a-z0-9_]* */
	bool		is_num;
	uint64_t	num;
	char		text[FIELD_VALUE_MAX];
};

/*
 * Write the fields of a printf(3) format in the form above: `name=%X name=%X
 * ...' with X one of s, u, d, x, zu, lu, llu, llx.  Control characters become
 * '?'; what does not fit into size bytes is cut inside its value.  0; or -1,
 * with nothing in dst, when fmt has another form: then it is a sentence's.
 * A NULL string is empty.  A negative %d is a string.
 */
int fields_format(char *dst, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/*
 * Take the first field off *text.  1; 0 at the end; -1 when it has another form.
 */
int fields_next(const char **text, struct field *f);
/*
 * Whether a text has that form as a whole: one to FIELDS_MAX fields, each name
 * once, none of them "mac" or "prev".
 */
bool fields_ok(const char *text);

#endif
