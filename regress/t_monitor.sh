#!/bin/sh
# The monitor: how it is started, an init that fails, its control socket, and
# roles that come back while others are away.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

check() {	# name, command...
	_name=$1
	shift
	if "$@" >/dev/null 2>&1; then
		good "$_name"
	else
		bad "$_name"
	fi
}

fails_monitor() {
	! timeout 90 "$B/cloisterd" -f "$T/cloisterd.conf" -L "$@"
}

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
KEY_FILE=$T/api.key
MODELS=echo:echo
(umask 077 && echo secret >"$KEY_FILE")
service_config

# An init without the engine's program leaves nothing, and can be repeated.
mkdir "$T/libexec"
for p in logger keyd hasher storaged certd connector llmproxy zygote sessiond; do
	ln -s "$B/$p" "$T/libexec/$p"
done
check "an init without an engine fails" fails_monitor "$T/libexec" -i
check "and leaves nothing" rmdir "$T/state"
_mask=$(umask)
umask 077
service_init
umask "$_mask"
good "init again, under umask 077"
find "$T/state" | sort >"$T/before"
check "a second init is refused" fails_monitor "$B" -i
find "$T/state" | sort >"$T/after"
check "and changes nothing" cmp "$T/before" "$T/after"

# Something else where the control socket goes is not removed.
echo keep >"$T/control"
check "a file in the socket's place is refused" fails_monitor "$B"
check "and is still there" grep keep "$T/control"
rm "$T/control"

# No standard descriptors, another left open, and SIGCHLD ignored.
(
	trap '' CHLD
	exec "$B/cloisterd" -f "$T/cloisterd.conf" -L "$B" \
	    7</dev/null <&- >&- 2>&-
) &
SERVICE_PID=$!
check "it starts without standard descriptors" wait_for ctl status
user_new alice
check "and serves" as alice ask -m echo "one"
check "the control socket is its owner's alone" \
    test "$(stat -c %a "$T/control")" = 600
check "a second service is refused" fails_monitor "$B"
check "and takes nothing from the first" ctl status

# The provider's key is gone when its role dies: the others go on, sessiond
# even comes back, and so does the role with its key.
fds() {
	ls "/proc/$SERVICE_PID/fd" | wc -l
}
fds=$(fds)
mv "$KEY_FILE" "$KEY_FILE.away"
kill -9 "$(role_pid llmproxy)"
sleep 1
kill -9 "$(role_pid sessiond)"
check "sessiond is served again without llmproxy" wait_for as alice list
mv "$KEY_FILE.away" "$KEY_FILE"
check "llmproxy is back when its key is" wait_for as alice ask -m echo "two"
for i in 1 2 3; do
	kill -9 "$(role_pid connector)" "$(role_pid zygote)"
	check "served after restart $i" wait_for as alice ask -m echo "again"
done
same_fds() {
	[ "$(fds)" -eq "$fds" ]
}
check "the monitor keeps no descriptors of the dead" wait_for same_fds

# A monitor that was killed left its socket behind: the next one takes it.
BEFORE=$(service_pids)
kill -9 "$SERVICE_PID"
wait "$SERVICE_PID" || true
check "nobody outlives the monitor" wait_for gone
service_start
good "a stale control socket is replaced"
check "it stops in order" service_stop

# The roles log what log_level says, and no more.
quiet() {
	! grep -q '^<[567]>[a-z\[0-9]*\]' "$T/cloisterd.log"
}
EXTRA='log_level = "warning"'
service_config
: >"$T/cloisterd.log"
service_start
check "it serves when it logs little" as alice ask -m echo "three"
check "every role heeds log_level" quiet
service_stop
