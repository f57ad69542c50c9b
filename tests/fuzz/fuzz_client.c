/*
 * The client against a hostile server: authenticated messages of any kind in
 * answer to each command, and text of any bytes.  Nothing reaches the terminal
 * that could command it.
 */
#include "fuzz.h"

#include "../client/client.h"
#include "answer.h"
#include "appconn.h"
#include "hs.h"
#include "exits.h"
#include "markdown.h"
#include "output.h"
#include "serve_json.h"
#include "style.h"
#include "text.h"
#include "ui.h"

static const struct hs_session secrets = { .suite = 1, .c_ap = "c", .s_ap = "s",
    .msgmac = "m" };
static int server_fd, client_fd;

int __wrap_isatty(int fd);
ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_conn_open(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key);

/* A terminal may have these of the client's own. */
static size_t
attribute(struct bytes b)
{
	static const char *const own[] = { STYLE_END, STYLE_DIM, STYLE_BOLD,
	    STYLE_ITALIC, STYLE_CODE, STYLE_HEADING, STYLE_COMMENT, STYLE_STRING,
	    STYLE_NUMBER, STYLE_KEYWORD, "\r\033[K" };
	size_t n;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		n = strlen(own[i]);
		if (b.n >= n && memcmp(b.p, own[i], n) == 0)
			return n;
	}
	return 0;
}

/* Printable UTF-8, newlines and tabs; nothing that reorders or hides. */
static void
check_harmless(struct bytes b, bool attributes)
{
	size_t n;

	need(bytes_utf8(b));
	for (; b.n > 0; b.p += n, b.n -= n) {
		uint8_t c = b.p[0];
		uint32_t cp;

		if (attributes && (n = attribute(b)) > 0)
			continue;
		n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		need(n == 1 ? (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t'
		    : n <= b.n);
		cp = n == 2 ? (c & 0x1fu) << 6 | (b.p[1] & 0x3f) : n == 3 ?
		    (c & 0xfu) << 12 | (b.p[1] & 0x3fu) << 6 | (b.p[2] & 0x3f) :
		    0x100000;
		need(n == 1 || cp >= 0xa0);
		need(cp < 0x2028 || cp > 0x202e);
		need(cp < 0x2066 || cp > 0x2069);
	}
}

int
__wrap_isatty(int fd)
{
	return fd == STDOUT_FILENO || fd == STDERR_FILENO;
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	if (fd != STDOUT_FILENO && fd != STDERR_FILENO)
		return __real_write(fd, p, n);
	check_harmless(bytes_of(p, n), true);
	return (ssize_t)n;
}

int
__wrap_conn_open(struct conn **c, const struct cconf *conf,
    const struct cconf_server *server, const char *key)
{
	(void)conf;
	(void)server;
	(void)key;
	*c = conn_attach(client_fd, "server", &secrets);
	return RC_OK;
}

static void
fuzz_setup(void)
{
	need(setenv("TERM", "xterm", 1) == 0 && setenv("TZ", "UTC", 1) == 0);
	ui_set_verbose(true);
}

enum { C_TEXT, C_MARKDOWN, C_SERVE, C_ASK, C_LIST, C_SHOW, C_MODELS, C_ALL };

static void
fuzz_seeds(void)
{
	static const char *const text[] = { "plain\ttext\n", "\033[31m\x7f\r",
	    "\xc2\x9b" "31m \xe2\x80\xae \xff", "\xe2\x81\xa6 \xf3\xa0\x80\xa1" };
	static const char *const markdown[] = {
	    "# head\n\n- *it* **b** ***c*** `d` \\* _e_\n> q\n---\n",
	    "| a | b |\n|:-:|--:|\n| \\| | c |\n\ntext",
	    "```c\nint x = 1; // \"s\"\n```\n~~~sql\nselect 'a'\n~~~",
	    "**open `x\n\n1. a\n  2) b\n" };
	struct buf b = BUF_INIT(4096);

	for (size_t i = 0; i < 4; i++)
		fuzz_seed((uint8_t[]){ C_TEXT }, 1, bytes_str(text[i]));
	for (size_t i = 0; i < sizeof(markdown) / sizeof(markdown[0]); i++)
		fuzz_seed((uint8_t[]){ C_MARKDOWN, (uint8_t)i }, 2,
		    bytes_str(markdown[i]));
	fuzz_seed((uint8_t[]){ C_SERVE }, 1, bytes_str("{\"model\":\"m\","
	    "\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":"
	    "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"}]}],"
	    "\"stream\":true,\"temperature\":0.5,\"max_tokens\":3,\"n\":1}"));
	buf_u8(&b, C_ASK);
	fz_script(&b, MSG_s_stored, "1 7 1 2");
	fz_script(&b, MSG_s_delta, "1 1 :thinking");
	fz_script(&b, MSG_s_delta, "1 0 :\033[31manswer");
	fz_script(&b, MSG_s_end, "1 1 3 4 7 1 2 :model");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, C_ASK);
	fz_script(&b, MSG_s_error, "1 4 :failed :again");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, C_LIST);
	fz_script(&b, MSG_s_conv, "1 7 5 6 :title");
	fz_script(&b, MSG_s_done, "1 :next");
	fz_script(&b, MSG_s_conv, "2 7 5 6 :title");
	fz_script(&b, MSG_s_done, "2 :");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, C_SHOW);
	fz_script(&b, MSG_s_msg, "1 1 1 0 5 0 0 : :question");
	fz_script(&b, MSG_s_msg, "1 2 2 1 5 3 4 :model :answer");
	fz_script(&b, MSG_s_done, "1 :");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_reset(&b);
	buf_u8(&b, C_MODELS);
	fz_script(&b, MSG_s_model, "1 1 :alias :provider");
	fz_script(&b, MSG_s_done, "1 :");
	fuzz_seed(b.p, b.n, bytes_str(""));
	buf_free(&b);
}

static void
texts(struct bytes in)
{
	struct buf b = BUF_INIT(8 * in.n + 16);

	text_clean(&b, in);
	need(!b.err);
	check_harmless(buf_bytes(&b), false);
	buf_reset(&b);
	text_clean_line(&b, in);
	need(!b.err);
	check_harmless(buf_bytes(&b), false);
	need(b.n == 0 || (memchr(b.p, '\n', b.n) == NULL &&
	    memchr(b.p, '\t', b.n) == NULL));
	buf_free(&b);
}

/* A request of another program: refused with words, or messages that hold. */
static void
served(struct bytes in)
{
	struct buf out = BUF_INIT(1 << 20);
	struct serve_error e;
	struct serve_chat c;

	if (serve_chat_parse(&c, in, &e) == 0) {
		struct rd r = rd_of(buf_bytes(&c.messages));

		while (r.n > 0) {
			uint8_t kind = rd_u8(&r);
			struct bytes t = rd_v32(&r, MSG_TEXT_MAX_BYTES);

			need(kind >= KIND_USER && kind <= KIND_SYSTEM);
			need(!r.err && t.n > 0 && bytes_utf8(t));
		}
		need(bytes_utf8(bytes_str(c.model)) && c.model[0] != '\0');
		serve_chat_free(&c);
	} else {
		need(e.status == 400 && e.message[0] != '\0');
		serve_put_error(&out, &e, true);
		need(!out.err);
	}
	buf_free(&out);
}

/* In one piece and in many: the same, and harmless. */
static void
rendered(struct bytes in)
{
	struct buf safe = BUF_INIT(8 * in.n + 16);
	struct buf out[2] = { BUF_INIT(1u << 26), BUF_INIT(1u << 26) };
	size_t step = 1, n;

	if (in.n > 0)
		step += in.p[0] % 8;
	text_clean(&safe, in);
	for (int i = 0; i < 2; i++) {
		struct markdown *md = markdown_new(20);

		for (size_t at = 0; at < safe.n; at += n) {
			n = i == 0 || step > safe.n - at ? safe.n - at : step;
			markdown_feed(md, bytes_of(safe.p + at, n), &out[i]);
		}
		markdown_end(md, &out[i]);
		markdown_free(md);
		need(!out[i].err);
	}
	need(bytes_eq(buf_bytes(&out[0]), buf_bytes(&out[1])));
	check_harmless(buf_bytes(&out[0]), true);
	need(output_code(in).n <= in.n);
	buf_free(&safe);
	buf_free(&out[0]);
	buf_free(&out[1]);
}

/* All that the server says, at once; then it says CLOSE or nothing. */
static void
server_says(struct rd *in)
{
	struct appconn *ac = appconn_new(END_B, secrets.suite, secrets.c_ap,
	    secrets.s_ap, secrets.msgmac);
	struct bytes out;
	struct msg m;

	for (int i = 0; i < 40 && in->n > 0; i++) {
		(void)fz_msg(in, CH_APP, BA, &m);
		if (m.type != MSG_s_msg || m.u.s_msg.text.n < 20000)
			(void)appconn_send(ac, m.type, &m.u);
	}
	if (rd_u8(in) & 1)
		(void)appconn_close(ac);
	out = appconn_output(ac);
	(void)send(server_fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	need(shutdown(server_fd, SHUT_WR) == 0);
	appconn_free(ac);
}

static void
fuzz_one(struct bytes input)
{
	static char id[] = "07070707070707070707070707070707";
	char *words[] = { id, NULL };
	struct rd in = rd_of(input);
	uint8_t what = rd_u8(&in) % C_ALL, conv[CONV_LEN] = { 0 };
	struct client cl = { .args = { .words = words, .nwords = 1 } };
	int sv[2], rc;
	struct answer_end end;

	if (what == C_TEXT) {
		texts(bytes_of(in.p, in.n));
		return;
	}
	if (what == C_SERVE) {
		served(bytes_of(in.p, in.n));
		return;
	}
	if (what == C_MARKDOWN) {
		rendered(bytes_of(in.p, in.n));
		return;
	}
	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    sv) == 0);
	server_fd = sv[0];
	client_fd = sv[1];
	cl.conf.last = (char *)(uintptr_t)"/nonexistent/last";
	cl.conf.dir = (char *)(uintptr_t)"/nonexistent";
	server_says(&in);
	if (what == C_ASK) {
		(void)__wrap_conn_open(&cl.conn, NULL, NULL, NULL);
		rc = answer_run(&cl, bytes_str("question"), conv, &end);
	} else
		rc = (what == C_LIST ? cmd_list : what == C_SHOW ? cmd_show :
		    cmd_models)(&cl);
	need(rc >= RC_OK && rc < 256);
	conn_close(cl.conn);
	close(server_fd);
}
