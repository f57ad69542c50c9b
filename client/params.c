#include "params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codes.h"

#define NAMES	"max_tokens, temperature and top_p"

/* A number from 0 to max in decimal notation, in thousandths and 1. */
static int
thousandths(uint32_t *out, const char *name, const char *value, uint32_t max,
    char *err, size_t errlen)
{
	char *end;
	double d;

	if (value[0] != '\0' && strspn(value, "0123456789.") == strlen(value)) {
		d = strtod(value, &end);
		if (*end == '\0' && d * 1000 <= max - 1) {
			*out = (uint32_t)(d * 1000 + 0.5) + 1;
			return 0;
		}
	}
	(void)snprintf(err, errlen, "%s=%s: %s is a number from 0 to %u", name,
	    value, name, (max - 1) / 1000);
	return -1;
}

int
params_set(struct params *p, const char *name, const char *value, char *err,
    size_t errlen)
{
	const char *why;

	if (strcmp(name, "temperature") == 0)
		return thousandths(&p->temperature, name, value,
		    TEMPERATURE_MAX, err, errlen);
	if (strcmp(name, "top_p") == 0)
		return thousandths(&p->top_p, name, value, TOP_P_MAX, err,
		    errlen);
	if (strcmp(name, "max_tokens") != 0) {
		(void)snprintf(err, errlen, "%s: there is no such parameter; "
		    "there are " NAMES, name);
		return -1;
	}
	p->max_tokens = (uint32_t)strtonum(value, 1, UINT32_MAX, &why);
	if (why == NULL)
		return 0;
	(void)snprintf(err, errlen, "max_tokens=%s: max_tokens is a number from "
	    "1 on", value);
	return -1;
}

int
params_parse(struct params *p, const char *text, char *err, size_t errlen)
{
	const char *eq = strchr(text, '=');
	char name[32];

	if (eq == NULL) {
		(void)snprintf(err, errlen, "-o %s: not NAME=VALUE; there are "
		    NAMES, text);
		return -1;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)(eq - text), text);
	return params_set(p, name, eq + 1, err, errlen);
}

void
params_merge(struct params *p, const struct params *other)
{
	if (p->max_tokens == 0)
		p->max_tokens = other->max_tokens;
	if (p->temperature == 0)
		p->temperature = other->temperature;
	if (p->top_p == 0)
		p->top_p = other->top_p;
}

bool
params_any(const struct params *p)
{
	return p->max_tokens != 0 || p->temperature != 0 || p->top_p != 0;
}
