#include "ctl.h"
#include "pubkey.h"

int
cmd_key_add(int argc, char **argv)
{
	struct m_av_key_add m = { .user = ctl_user_name(argv[1]) };
	struct pubkey key;
	char err[512];
	int r;

	(void)argc;
	if (pubkey_load(&key, argv[2], err, sizeof(err)) == -1) {
		out_error("%s", err);
		return CTL_FAILED;
	}
	m.sign_spki = buf_bytes(&key.sign);
	m.wrap_spki = buf_bytes(&key.wrap);
	m.msg_spki = buf_bytes(&key.message);
	m.label = bytes_str(key.comment);
	r = ctl_ask(MSG_av_key_add, &m);
	pubkey_free(&key);
	return r;
}

int
cmd_key_list(int argc, char **argv)
{
	struct m_av_key_list m = { .user = ctl_user_name(argv[1]) };

	(void)argc;
	return ctl_ask(MSG_av_key_list, &m);
}

int
cmd_key_revoke(int argc, char **argv)
{
	struct m_av_key_revoke m = { .user = ctl_user_name(argv[1]),
	    .key = bytes_str(argv[2]) };

	(void)argc;
	if (m.key.n > 64) {
		out_error("this is neither a key's id nor a fingerprint");
		return CTL_FAILED;
	}
	return ctl_ask(MSG_av_key_revoke, &m);
}
