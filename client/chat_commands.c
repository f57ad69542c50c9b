#include "chat_commands.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "attach.h"
#include "convs.h"
#include "exits.h"
#include "export.h"
#include "ui.h"

#define TITLE_MAX	256	/* bytes, as messages.def has it */
#define ARG_MAX_BYTES	65536	/* the longest, a system prompt */

/* Each takes what follows its name, without blanks around it. */
static enum chat_result
do_help(struct chat *c, const char *arg);

static enum chat_result
do_model(struct chat *c, const char *arg)
{
	if (arg[0] == '\0') {
		(void)(conn_ready(c->cl->conn) == RC_OK && cmd_models(c->cl));
		return CHAT_DONE;
	}
	if (strlcpy(c->model, arg, sizeof(c->model)) >= sizeof(c->model)) {
		c->model[0] = '\0';
		ui_err("this is not the name of a model");
		return CHAT_DONE;
	}
	c->cl->model = c->model;
	ui_err("from now on: %s", c->model);
	return CHAT_DONE;
}

static enum chat_result
do_new(struct chat *c, const char *arg)
{
	(void)arg;
	memset(c->conv, 0, sizeof(c->conv));
	c->last = 0;
	c->cl->system_due = c->cl->system != NULL;
	buf_reset(&c->attached);
	ui_err("a new conversation");
	return CHAT_DONE;
}

static enum chat_result
do_open(struct chat *c, const char *arg)
{
	uint8_t conv[CONV_LEN];

	if (arg[0] == '\0')
		ui_err("which conversation? /open ID; `/list' shows them");
	else if (conn_ready(c->cl->conn) == RC_OK &&
	    convs_find(c->cl->conn, arg, conv) == RC_OK) {
		memcpy(c->conv, conv, CONV_LEN);
		c->last = 0;
		c->cl->system_due = false;	/* it has its own */
		ui_err("going on with it");
	}
	return CHAT_DONE;
}

static enum chat_result
do_list(struct chat *c, const char *arg)
{
	(void)arg;
	if (conn_ready(c->cl->conn) == RC_OK)
		(void)cmd_list(c->cl);
	return CHAT_DONE;
}

static enum chat_result
do_file(struct chat *c, const char *arg)
{
	size_t before = c->attached.n;

	if (arg[0] == '\0') {
		ui_err("which file? /file PATH");
		return CHAT_DONE;
	}
	if (attach_file(&c->attached, arg) == RC_OK)
		ui_err("%s goes with your next question", arg);
	else
		c->attached.n = before;
	c->attached.err = false;
	return CHAT_DONE;
}

static enum chat_result
do_system(struct chat *c, const char *arg)
{
	struct client *cl = c->cl;
	char *text;

	if (arg[0] == '\0') {
		if (cl->system != NULL && cl->system[0] != '\0')
			(void)ui_printf("%s\n", cl->system);
		else
			ui_err("you have set none here; /system TEXT does");
		return CHAT_DONE;
	}
	if (!bytes_utf8(bytes_str(arg)) ||
	    (text = strdup(strcmp(arg, "-") == 0 ? "" : arg)) == NULL) {
		ui_err("this is not text in UTF-8");
		return CHAT_DONE;
	}
	free(c->system);
	cl->system = c->system = text;
	cl->system_due = true;
	ui_err(text[0] == '\0' ? "no system prompt of yours from your next "
	    "question on" : "from your next question on");
	return CHAT_DONE;
}

bool
chat_has_conv(struct chat *c)
{
	static const uint8_t none[CONV_LEN];

	if (memcmp(c->conv, none, CONV_LEN) != 0)
		return conn_ready(c->cl->conn) == RC_OK;
	ui_err(c->cl->args.nostore ? "nothing is stored here" :
	    "nothing was asked here yet");
	return false;
}

static enum chat_result
do_title(struct chat *c, const char *arg)
{
	if (arg[0] == '\0' || strlen(arg) > TITLE_MAX ||
	    !bytes_utf8(bytes_str(arg)))
		ui_err("which title? /title TEXT, at most %d bytes", TITLE_MAX);
	else if (chat_has_conv(c) &&
	    convs_rename(c->cl->conn, c->conv, bytes_str(arg)) == RC_OK)
		ui_err("it is called so now");
	return CHAT_DONE;
}

static enum chat_result
do_export(struct chat *c, const char *arg)
{
	if (arg[0] == '\0')
		ui_err("into which file? /export PATH; one that ends in .md "
		    "gets Markdown, others JSON");
	else if (chat_has_conv(c) &&
	    export_file(c->cl->conn, c->conv, arg) == RC_OK)
		ui_err("written: %s", arg);
	return CHAT_DONE;
}

static enum chat_result
do_quit(struct chat *c, const char *arg)
{
	(void)c;
	(void)arg;
	return CHAT_QUIT;
}

static const struct {
	const char	*name;
	const char	*arg;
	const char	*help;
	enum chat_result (*run)(struct chat *, const char *);
} commands[] = {
	{ "/help", "", "this", do_help },
	{ "/model", "[NAME]", "the models, or take this one from now on",
	    do_model },
	{ "/file", "PATH", "add a file of text to the next question", do_file },
	{ "/system", "[TEXT]", "your system prompt, or another one (- for none)",
	    do_system },
	{ "/retry", "", "ask the last question once more, in its own place",
	    chat_retry },
	{ "/edit", "", "change the last question and ask it in its place",
	    chat_edit },
	{ "/undo", "", "take the last question and its answer back",
	    chat_undo },
	{ "/title", "TEXT", "give this conversation another title", do_title },
	{ "/export", "PATH", "write this conversation into a new file",
	    do_export },
	{ "/new", "", "begin a new conversation", do_new },
	{ "/list", "", "your conversations", do_list },
	{ "/open", "ID", "go on with this conversation", do_open },
	{ "/quit", "", "leave, like ^D", do_quit },
};
#define NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

static enum chat_result
do_help(struct chat *c, const char *arg)
{
	(void)c;
	(void)arg;
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (ui_printf("%-8s%-8s%s\n", commands[i].name, commands[i].arg,
		    commands[i].help) == -1)
			break;
	(void)ui_printf("%-16s%s\n%-16s%s\n%-16s%s\n", "\"\"\"",
	    "alone on a line: begins and ends several lines", "\\ at the end",
	    "the line goes on", "//", "a question that begins with /");
	return CHAT_DONE;
}

const char *const *
chat_command_words(void)
{
	static const char *words[NCOMMANDS + 1];

	for (size_t i = 0; i < NCOMMANDS; i++)
		words[i] = commands[i].name;
	return words;
}

static enum chat_result
run(struct chat *c, const char *line)
{
	static char arg[ARG_MAX_BYTES + 1];
	size_t n = strcspn(line, " \t\n"), len;

	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strlen(commands[i].name) != n ||
		    strncmp(commands[i].name, line, n) != 0)
			continue;
		line += n;
		line += strspn(line, " \t\n");
		if (strlcpy(arg, line, sizeof(arg)) >= sizeof(arg)) {
			ui_err("too long for a command");
			return CHAT_DONE;
		}
		for (len = strlen(arg); len > 0 &&
		    isspace((unsigned char)arg[len - 1]); len--)
			arg[len - 1] = '\0';
		return commands[i].run(c, arg);
	}
	ui_err("%.*s is no command; see /help, or begin with // to ask it",
	    (int)n, line);
	return CHAT_DONE;
}

enum chat_result
chat_command(struct chat *c, struct buf *text)
{
	enum chat_result r;

	if (text->n == 0 || text->p[0] != '/')
		return CHAT_SEND;
	if (text->n > 1 && text->p[1] == '/') {
		buf_consume(text, 1);
		return CHAT_SEND;
	}
	if (memchr(text->p, '\0', text->n) != NULL) {
		ui_err("this is not text");
		return CHAT_DONE;
	}
	buf_u8(text, '\0');
	if (text->err)
		return CHAT_DONE;
	c->editing = false;
	r = run(c, (const char *)text->p);
	buf_reset(text);
	if (r == CHAT_SEND)
		buf_put(text, c->again.p, c->again.n);
	buf_reset(&c->again);
	return r;
}
