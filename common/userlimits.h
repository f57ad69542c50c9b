/*
 * The limits that a user may have (userlimits.def).
 */
#ifndef COMMON_USERLIMITS_H
#define COMMON_USERLIMITS_H

#include <stddef.h>
#include <stdint.h>

enum limit {
#define LIMIT(id, number, name, max, unit) LIMIT_##id,
#include "userlimits.def"
	LIMITS
};

struct limit_decl {
	uint8_t		 number;	/* in a user's record */
	const char	*name;
	uint64_t	 max;
	const char	*unit;
};

extern const struct limit_decl limit_decls[LIMITS];

/* The limit of that name, or of that number; LIMITS when there is none. */
enum limit limit_find(const char *name);
enum limit limit_of(uint8_t number);

#endif
