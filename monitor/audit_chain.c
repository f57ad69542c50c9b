#include "audit_chain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "events.h"
#include "kdf.h"

#define CONTEXT		"cloister audit 1"
#define TIME_CHARS	27		/* 2026-01-02T03:04:05.678901Z */
#define HEX_CHARS	(2 * AUDIT_HASH_BYTES)
#define HEAD		"{\"time\":\""
#define SEQ		"\",\"seq\":"
#define PREV		",\"prev\":\""
#define MAC		",\"mac\":\""
#define MAC_END		"\"}"
#define LIT(s)		(sizeof(s) - 1)
/* Everything from MAC to the end of the line; the same from PREV to MAC. */
#define MAC_CHARS	(LIT(MAC) + HEX_CHARS + LIT(MAC_END))
#define PREV_CHARS	(LIT(PREV) + HEX_CHARS + 1)
/* 9999-12-31T23:59:59, the last second with a year of four digits. */
#define TIME_MAX	253402300799U
/* A forged sequence number must not keep the verifier busy for ever. */
#define RATCHET_MAX	(1U << 22)

void
audit_chain_init(struct audit_chain *c, const uint8_t key[AUDIT_KEY_BYTES])
{
	memset(c, 0, sizeof(*c));
	memcpy(c->key, key, AUDIT_KEY_BYTES);
}

void
audit_ratchet(uint8_t key[AUDIT_KEY_BYTES])
{
	hmac_sha256(key, bytes_of(key, AUDIT_KEY_BYTES), bytes_str("ratchet"));
}

void
audit_advance(struct audit_chain *c, struct bytes line)
{
	sha256(c->prev, line);
	audit_ratchet(c->key);
	c->seq++;
}

/* The mac of the bytes before MAC, in hexadecimal. */
static void
line_mac(char hex[HEX_CHARS + 1], const uint8_t key[AUDIT_KEY_BYTES],
    struct bytes maced)
{
	struct bytes part[] = { bytes_str(CONTEXT), maced };
	uint8_t mac[HASH_LEN];

	hmac_sha256v(mac, bytes_of(key, AUDIT_KEY_BYTES), part, 2);
	hex_encode(hex, mac, sizeof(mac));
}

/* Bytes of the well-formed character at s, or 0. */
static size_t
utf8_len(const char *s)
{
	size_t left = strnlen(s, 4);

	for (size_t n = 1; n <= left; n++)
		if (bytes_utf8(bytes_of(s, n)))
			return n;
	return 0;
}

/* A JSON string (RFC 8259, 7) of s, cut after max bytes of it. */
static void
put_string(struct buf *b, const char *s, size_t max)
{
	char esc[8];
	size_t n;

	buf_u8(b, '"');
	for (; s != NULL && *s != '\0'; s += n) {
		const uint8_t *u = (const uint8_t *)s;

		n = utf8_len(s);
		if ((n == 0 ? 1 : n) > max) {
			buf_str(b, "\\u2026");	/* an ellipsis */
			break;
		}
		esc[0] = '\0';
		if (n == 0) {
			n = 1;
			strlcpy(esc, "\\ufffd", sizeof(esc));
		} else if (*s == '"' || *s == '\\')
			snprintf(esc, sizeof(esc), "\\%c", *s);
		else if (u[0] < 0x20 || u[0] == 0x7f)
			snprintf(esc, sizeof(esc), "\\u%04x", u[0]);
		else if (u[0] == 0xc2 && u[1] < 0xa0)	/* C1 controls */
			snprintf(esc, sizeof(esc), "\\u%04x", u[1]);
		if (esc[0] != '\0')
			buf_str(b, esc);
		else
			buf_put(b, s, n);
		max -= n;
	}
	buf_u8(b, '"');
}

static void
put_number(struct buf *b, const char *name, uint64_t v)
{
	char s[48];

	snprintf(s, sizeof(s), "%s%llu", name, (unsigned long long)v);
	buf_str(b, s);
}

/* The fields of a text (events.h); of another one, the one field "text". */
static void
put_fields(struct buf *b, const char *text)
{
	struct field f;
	const char *before = "{\"";

	if (text == NULL || strlen(text) > AUDIT_TEXT_MAX || !fields_ok(text)) {
		buf_str(b, "{\"text\":");
		put_string(b, text, AUDIT_TEXT_MAX);
		buf_u8(b, '}');
		return;
	}
	while (fields_next(&text, &f) == 1) {
		buf_str(b, before);
		buf_str(b, f.name);
		buf_str(b, "\":");
		if (f.is_num)
			put_number(b, "", f.num);
		else
			put_string(b, f.text, AUDIT_TEXT_MAX);
		before = ",\"";
	}
	buf_u8(b, '}');
}

static void
put_time(struct buf *b, uint64_t time_us)
{
	uint64_t sec = time_us / 1000000;
	time_t t = (time_t)(sec > TIME_MAX ? TIME_MAX : sec);
	char s[32], us[16];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(s, sizeof(s), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(us, sizeof(us), ".%06uZ", (unsigned int)(time_us % 1000000));
	buf_str(b, HEAD);
	buf_str(b, s);
	buf_str(b, us);
}

int
audit_line(struct audit_chain *c, const struct audit_event *ev,
    struct buf *out)
{
	char hex[HEX_CHARS + 1];
	size_t start = out->n;
	struct bytes line;

	if (out->err || out->max - out->n < AUDIT_LINE_MAX)
		return -1;
	put_time(out, ev->time_us);
	put_number(out, SEQ, c->seq + 1);
	buf_str(out, ",\"role\":");
	put_string(out, ev->role, AUDIT_ROLE_MAX);
	put_number(out, ",\"pid\":", (uint64_t)ev->pid);
	put_number(out, ",\"session\":", ev->session);
	buf_str(out, ",\"user\":");
	put_string(out, ev->user, AUDIT_USER_MAX);
	buf_str(out, ",\"event\":");
	put_string(out, ev->event, AUDIT_EVENT_MAX);
	buf_str(out, ",\"fields\":");
	put_fields(out, ev->fields);
	hex_encode(hex, c->prev, sizeof(c->prev));
	buf_str(out, PREV);
	buf_str(out, hex);
	buf_u8(out, '"');
	if (!out->err)
		line_mac(hex, c->key, bytes_of(out->p + start, out->n - start));
	buf_str(out, MAC);
	buf_str(out, hex);
	buf_str(out, MAC_END "\n");
	if (out->err) {
		out->n = start;
		return -1;
	}
	line = bytes_of(out->p + start, out->n - start - 1);
	audit_advance(c, line);
	return 0;
}

int
audit_parse(struct audit_parsed *p, struct bytes line)
{
	const char *s = (const char *)line.p;
	const size_t at = LIT(HEAD) + TIME_CHARS;
	size_t i, mac;

	if (line.n < at + LIT(SEQ) + PREV_CHARS + MAC_CHARS)
		return -1;
	/* A quote inside a string is escaped: MAC occurs at the end alone. */
	mac = line.n - MAC_CHARS;
	if (memmem(s, line.n, MAC, LIT(MAC)) != s + mac ||
	    memcmp(s + line.n - LIT(MAC_END), MAC_END, LIT(MAC_END)) != 0 ||
	    memcmp(s + mac - PREV_CHARS, PREV, LIT(PREV)) != 0 ||
	    s[mac - 1] != '"' || memcmp(s, HEAD, LIT(HEAD)) != 0 ||
	    memcmp(s + at, SEQ, LIT(SEQ)) != 0)
		return -1;
	p->line = line;
	p->prev = s + mac - PREV_CHARS + LIT(PREV);
	p->seq = 0;
	i = at + LIT(SEQ);
	if (s[i] < '1' || s[i] > '9')
		return -1;
	for (; s[i] >= '0' && s[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)(s[i] - '0');

		if (p->seq > (UINT64_MAX - digit) / 10)
			return -1;
		p->seq = p->seq * 10 + digit;
	}
	return s[i] == ',' ? 0 : -1;
}

bool
audit_mac_ok(const struct audit_parsed *p, const uint8_t key[AUDIT_KEY_BYTES])
{
	char hex[HEX_CHARS + 1];
	size_t n = p->line.n - MAC_CHARS;

	line_mac(hex, key, bytes_of(p->line.p, n));
	return bytes_eq_ct(hex, p->line.p + n + LIT(MAC), HEX_CHARS);
}

bool
audit_prev_ok(const struct audit_parsed *p,
    const uint8_t hash[AUDIT_HASH_BYTES])
{
	char hex[HEX_CHARS + 1];

	hex_encode(hex, hash, AUDIT_HASH_BYTES);
	return memcmp(hex, p->prev, HEX_CHARS) == 0;
}

/* Whether the line is genuine at its own place, not at the chain's. */
static bool
genuine_elsewhere(const struct audit_chain *c, const struct audit_parsed *p,
    const uint8_t *initial)
{
	uint8_t key[AUDIT_KEY_BYTES];
	uint64_t seq;
	bool ok;

	if (p->seq > c->seq) {
		memcpy(key, c->key, sizeof(key));
		seq = c->seq + 1;
	} else if (initial != NULL) {
		memcpy(key, initial, sizeof(key));
		seq = 1;
	} else
		return false;
	if (p->seq - seq > RATCHET_MAX)
		return false;
	for (; seq < p->seq; seq++)
		audit_ratchet(key);
	ok = audit_mac_ok(p, key);
	OPENSSL_cleanse(key, sizeof(key));
	return ok;
}

/* Whether nothing but the line's prev differs from what was written. */
static bool
prev_edited(const struct audit_chain *c, const struct audit_parsed *p)
{
	uint8_t copy[AUDIT_LINE_MAX];
	struct audit_parsed q = *p;
	char hex[HEX_CHARS + 1];

	if (p->line.n > sizeof(copy))
		return false;
	memcpy(copy, p->line.p, p->line.n);
	hex_encode(hex, c->prev, sizeof(c->prev));
	memcpy(copy + (p->prev - (const char *)p->line.p), hex, HEX_CHARS);
	q.line.p = copy;
	return audit_mac_ok(&q, c->key);
}

enum audit_reason
audit_check(struct audit_chain *c, struct bytes line, const uint8_t *initial)
{
	struct audit_parsed p;
	bool prev;

	if (audit_parse(&p, line) == -1)
		return AUDIT_EDITED;
	prev = audit_prev_ok(&p, c->prev);
	if (p.seq == c->seq + 1) {
		if (audit_mac_ok(&p, c->key)) {
			if (!prev)
				return AUDIT_SPLICED;
			audit_advance(c, line);
			return AUDIT_GOOD;
		}
		return prev || prev_edited(c, &p) ? AUDIT_EDITED :
		    AUDIT_SPLICED;
	}
	if (genuine_elsewhere(c, &p, initial))
		return p.seq > c->seq ? AUDIT_DROPPED : AUDIT_REORDERED;
	return prev ? AUDIT_EDITED : AUDIT_SPLICED;
}

const char *
audit_reason_name(enum audit_reason reason)
{
	static const char *const names[] = {
		[AUDIT_GOOD] = "good", [AUDIT_EDITED] = "edited",
		[AUDIT_DROPPED] = "dropped", [AUDIT_REORDERED] = "reordered",
		[AUDIT_SPLICED] = "spliced", [AUDIT_TRUNCATED] = "truncated",
		[AUDIT_FORGED] = "forged checkpoint"
	};

	return names[reason];
}
