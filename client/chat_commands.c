#include "chat_commands.h"

#include <ctype.h>
#include <string.h>

#include "attach.h"
#include "convs.h"
#include "exits.h"
#include "ui.h"

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
		if (ui_printf("%-7s%-8s%s\n", commands[i].name, commands[i].arg,
		    commands[i].help) == -1)
			break;
	(void)ui_printf("%-15s%s\n%-15s%s\n%-15s%s\n", "\"\"\"",
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
	size_t n = strcspn(line, " \t\n"), len;
	char arg[1024];

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
	r = run(c, (const char *)text->p);
	buf_reset(text);
	return r;
}
