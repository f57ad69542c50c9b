#include <string.h>

#include "ctl.h"
#include "log.h"
#include "role.h"

int
cmd_log_level(int argc, char **argv)
{
	static const char *const names[] = {
		[LOG_L_ERR] = "error", [LOG_L_WARNING] = "warning",
		[LOG_L_NOTICE] = "notice", [LOG_L_INFO] = "info",
		[LOG_L_DEBUG] = "debug"
	};
	struct m_av_log_level m = { .role = bytes_str(argv[1]) };

	(void)argc;
	if (m.role.n > 64)
		return CTL_USAGE;
	for (int i = LOG_L_ERR; i <= LOG_L_DEBUG; i++)
		if (strcmp(names[i], argv[2]) == 0)
			m.level = (uint8_t)i;
	if (m.level == 0) {
		out_error("a level is error, warning, notice, info or debug");
		return CTL_USAGE;
	}
	return ctl_ask(MSG_av_log_level, &m);
}
