#include "attach.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "exits.h"
#include "msg.h"
#include "role.h"
#include "ui.h"

#define FENCE_MIN	3

/* The longest run of '`' in the text. */
static size_t
longest_run(struct bytes text)
{
	size_t longest = 0, n = 0;

	for (size_t i = 0; i < text.n; i++) {
		n = text.p[i] == '`' ? n + 1 : 0;
		if (n > longest)
			longest = n;
	}
	return longest;
}

static void
fence(struct buf *prompt, size_t n)
{
	while (n-- > 0)
		buf_u8(prompt, '`');
}

static void
append(struct buf *prompt, const char *path, struct bytes text)
{
	const char *name = strrchr(path, '/');
	size_t n = longest_run(text) + 1;

	if (n < FENCE_MIN)
		n = FENCE_MIN;
	buf_str(prompt, prompt->n > 0 ? "\n\n" : "");
	buf_str(prompt, name != NULL ? name + 1 : path);
	buf_str(prompt, ":\n\n");
	fence(prompt, n);
	buf_u8(prompt, '\n');
	buf_put(prompt, text.p, text.n);
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		buf_u8(prompt, '\n');
	fence(prompt, n);
}

int
attach_file(struct buf *prompt, const char *path)
{
	struct buf text = BUF_INIT(MSG_TEXT_MAX_BYTES);
	int fd, rc = RC_USAGE;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1) {
		ui_err("%s: %s", path, strerror(errno));
		return RC_USAGE;
	}
	if (read_all(fd, &text) == -1)
		ui_err("%s: %s", path, text.err ? "too long for a prompt" :
		    strerror(errno));
	else if (!bytes_utf8(buf_bytes(&text)))
		ui_err("%s: not text in UTF-8", path);
	else if (!bytes_utf8(bytes_str(path)))
		ui_err("%s: its name is not UTF-8", path);
	else {
		append(prompt, path, buf_bytes(&text));
		rc = RC_OK;
		if (prompt->err) {
			ui_err("%s: with it the prompt is too long: more than "
			    "%u bytes", path, MSG_TEXT_MAX_BYTES);
			rc = RC_USAGE;
		}
	}
	(void)close(fd);
	buf_free(&text);
	return rc;
}
