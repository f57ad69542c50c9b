#include "userlimits.h"

#include <string.h>

const struct limit_decl limit_decls[LIMITS] = {
#define LIMIT(id, number, name, max, unit) { number, name, max, unit },
#include "userlimits.def"
};

enum limit
limit_find(const char *name)
{
	enum limit l = 0;

	while (l < LIMITS && strcmp(limit_decls[l].name, name) != 0)
		l++;
	return l;
}

enum limit
limit_of(uint8_t number)
{
	enum limit l = 0;

	while (l < LIMITS && limit_decls[l].number != number)
		l++;
	return l;
}
