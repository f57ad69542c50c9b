#include "events.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "role.h"

#define MONITOR	(1u << ROLES)
#define ANY	(~0u)
#define LOGGER	(1u << ROLE_LOGGER)
#define KEYD	(1u << ROLE_KEYD)
#define ENGINE	(1u << ROLE_ENGINE)
#define VAULT	(1u << ROLE_VAULT)
#define SESSIOND (1u << ROLE_SESSIOND)

const struct event_decl event_decls[EVENTS] = {
#define EVENT(id, name, who, fields, help) { name, who, fields, help },
#include "events.def"
};

enum event
event_find(const char *name)
{
	int e;

	for (e = 0; e < EVENTS; e++)
		if (strcmp(event_decls[e].name, name) == 0)
			break;
	return (enum event)e;
}

/* ---- a text of fields -------------------------------------------------------- */

/* The length of a field's name at s, which an '=' follows; 0 if none is there. */
static size_t
name_length(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");

	if (n == 0 || n >= FIELD_NAME_MAX || s[0] < 'a' || s[n] != '=')
		return 0;
	return n;
}

static const char *const conversions[] = { "s", "u", "d", "x", "zu", "lu",
    "llu", "llx" };
#define NCONV	(sizeof(conversions) / sizeof(conversions[0]))

/* Which conversion stands at s, behind its '%'; NCONV if none of them. */
static size_t
conversion(const char *s)
{
	size_t n = strcspn(s, " ");
	size_t i;

	for (i = 0; i < NCONV; i++)
		if (strlen(conversions[i]) == n &&
		    memcmp(conversions[i], s, n) == 0)
			break;
	return i;
}

/* Whether fmt is `name=%X name=%X ...'. */
static bool
is_fields_format(const char *fmt)
{
	for (;;) {
		size_t n = name_length(fmt);

		if (n == 0 || fmt[n + 1] != '%' ||
		    conversion(fmt + n + 2) == NCONV)
			return false;
		fmt += n + 2;
		fmt += strcspn(fmt, " ");
		if (*fmt == '\0')
			return true;
		fmt++;
	}
}

/* What is being written: one place is kept for NUL, one for a closing quote. */
struct out {
	char	*p;
	size_t	 left;
};

static void
put(struct out *o, char c)
{
	if (o->left > 2) {
		*o->p++ = c;
		o->left--;
	}
}

static void
put_string(struct out *o, const char *s)
{
	put(o, '"');
	for (; *s != '\0' && o->left > 3; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			put(o, '\\');
		put(o, c < 0x20 || c >= 0x7f ? '?' : *s);
	}
	*o->p++ = '"';
	o->left--;
}

int
fields_format(char *dst, size_t size, const char *fmt, va_list ap)
{
	struct out o = { dst, size };
	char num[24];

	*dst = '\0';
	if (!is_fields_format(fmt))
		return -1;
	for (;;) {
		size_t n = name_length(fmt);
		const char *s = num;

		/* A field of which nothing would fit is left out. */
		if (o.left < n + 32)
			break;
		if (o.p != dst)
			put(&o, ' ');
		for (size_t i = 0; i <= n; i++)
			put(&o, fmt[i]);
		fmt += n + 2;
		switch (conversion(fmt)) {
		case 0:
			if ((s = va_arg(ap, const char *)) == NULL)
				s = "";
			break;
		case 1:
			(void)snprintf(num, sizeof(num), "%u",
			    va_arg(ap, unsigned));
			break;
		case 2:
			(void)snprintf(num, sizeof(num), "%d", va_arg(ap, int));
			break;
		case 3:
			(void)snprintf(num, sizeof(num), "%#x",
			    va_arg(ap, unsigned));
			break;
		case 4:
			(void)snprintf(num, sizeof(num), "%zu",
			    va_arg(ap, size_t));
			break;
		case 5:
			(void)snprintf(num, sizeof(num), "%lu",
			    va_arg(ap, unsigned long));
			break;
		case 6:
			(void)snprintf(num, sizeof(num), "%llu",
			    va_arg(ap, unsigned long long));
			break;
		default:
			(void)snprintf(num, sizeof(num), "%#llx",
			    va_arg(ap, unsigned long long));
			break;
		}
		if (s != num || num[strspn(num, "0123456789")] != '\0')
			put_string(&o, s);
		else
			while (*s != '\0')
				put(&o, *s++);
		fmt += strcspn(fmt, " ");
		if (*fmt == '\0')
			break;
		fmt++;
	}
	*o.p = '\0';
	return 0;
}

static int
take_string(const char **text, struct field *f)
{
	const char *s = *text + 1;
	size_t n = 0;

	for (; *s != '"'; s++) {
		if (*s == '\\' && *++s != '"' && *s != '\\')
			return -1;
		if (*s == '\0' || n == sizeof(f->text) - 1)
			return -1;
		f->text[n++] = *s;
	}
	f->text[n] = '\0';
	f->is_num = false;
	*text = s + 1;
	return 0;
}

static int
take_number(const char **text, struct field *f)
{
	const char *s = *text;
	uint64_t v = 0;

	if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (v > (UINT64_MAX - digit) / 10)
			return -1;
		v = v * 10 + digit;
	}
	f->num = v;
	f->is_num = true;
	*text = s;
	return 0;
}

int
fields_next(const char **text, struct field *f)
{
	const char *s = *text;
	size_t n;

	if (*s == '\0')
		return 0;
	if ((n = name_length(s)) == 0)
		return -1;
	memcpy(f->name, s, n);
	f->name[n] = '\0';
	s += n + 1;
	if ((*s == '"' ? take_string(&s, f) : take_number(&s, f)) == -1)
		return -1;
	if (*s == ' ') {
		if (*++s == '\0')
			return -1;
	} else if (*s != '\0')
		return -1;
	*text = s;
	return 1;
}

bool
fields_ok(const char *text)
{
	char seen[FIELDS_MAX][FIELD_NAME_MAX];
	struct field f;
	int n, r;

	for (n = 0; (r = fields_next(&text, &f)) == 1; n++) {
		/* These close a line of the log (monitor/audit.h). */
		if (n == FIELDS_MAX || strcmp(f.name, "mac") == 0 ||
		    strcmp(f.name, "prev") == 0)
			return false;
		for (int i = 0; i < n; i++)
			if (strcmp(seen[i], f.name) == 0)
				return false;
		memcpy(seen[n], f.name, sizeof(f.name));
	}
	return r == 0 && n > 0;
}
