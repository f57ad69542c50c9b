#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "attach.h"
#include "convs.h"
#include "exits.h"
#include "intr.h"
#include "loop.h"
#include "recover.h"
#include "ui.h"

/* Append what is piped in; RC_OK or another exit code. */
static int
read_input(struct buf *text)
{
	uint8_t chunk[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			ui_err("standard input: %s", strerror(errno));
			return RC_ERROR;
		}
		buf_put(text, chunk, (size_t)n);
		if (text->err) {
			ui_err("the prompt is too long: more than %u bytes",
			    MSG_TEXT_MAX_BYTES);
			return RC_USAGE;
		}
	}
	return RC_OK;
}

/* The words, a blank line, and what is piped in. */
static int
read_prompt(const struct args *args, struct buf *text)
{
	size_t words;
	int rc;

	for (int i = 0; i < args->nwords; i++) {
		buf_str(text, i > 0 ? " " : "");
		buf_str(text, args->words[i]);
	}
	/* With -S it has the password. */
	if (!args->from_stdin && !isatty(STDIN_FILENO)) {
		buf_str(text, text->n > 0 ? "\n\n" : "");
		words = text->n;
		rc = read_input(text);
		if (rc != RC_OK)
			return rc;
		if (text->n == words && !text->err)
			text->n -= words > 0 ? 2 : 0;
	}
	for (int i = 0; i < args->nfiles && !text->err; i++) {
		rc = attach_file(text, args->files[i]);
		if (rc != RC_OK)
			return rc;
	}
	if (text->err) {
		ui_err("the prompt is too long: more than %u bytes",
		    MSG_TEXT_MAX_BYTES);
		return RC_USAGE;
	}
	if (text->n == 0) {
		ui_err("what do you want to ask? usage: cloister ask WORDS...");
		return RC_USAGE;
	}
	if (!bytes_utf8(buf_bytes(text))) {
		ui_err("the prompt is not text in UTF-8");
		return RC_USAGE;
	}
	return RC_OK;
}

/* Ask; when the connection is lost, look what became of the question. */
static int
ask(struct client *cl, struct bytes text, uint8_t conv[CONV_LEN])
{
	struct recover r = { .text = text, .sent_us = wall_us() };
	struct answer_end end;
	int rc;

	rc = answer_run(cl, text, conv, &end);
	if (rc != RC_LOST || !conn_away(cl->conn))
		return rc;
	r.stored = end.stored;
	r.shown = end.some;
	r.last = end.last > 0 ? end.last - 1 : 0;
	(void)recover_run(cl, &r, conv);
	return r.whole ? RC_OK : RC_LOST;
}

int
cmd_ask(struct client *cl)
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	uint8_t conv[CONV_LEN];
	int rc;

	rc = read_prompt(&cl->args, &text);
	if (rc == RC_OK) {
		rc = conn_open(&cl->conn, &cl->conf, &cl->server, cl->key);
		if (rc == RC_OK)
			rc = convs_choose(cl, conv);
		if (rc == RC_LOST)
			ui_err("nothing was asked: try again when the network "
			    "and the server are there");
	}
	if (rc == RC_OK && text.n > conn_max_prompt(cl->conn)) {
		ui_err("the prompt is too long: %zu bytes, and the server takes "
		    "%u", text.n, conn_max_prompt(cl->conn));
		rc = RC_USAGE;
	}
	if (rc == RC_OK) {
		conn_keep_plain(cl->conn);
		intr_start();
		rc = ask(cl, buf_bytes(&text), conv);
		intr_stop();
	}
	buf_free(&text);
	return rc;
}
