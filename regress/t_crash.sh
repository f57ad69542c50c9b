#!/bin/sh
# A worker that crashes in a handshake costs its source a growing delay, and
# nobody else anything: others are served, sessions go on, the zygote that forked
# it is replaced.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
# ::1 is another source than 127.0.0.1.
sed -i "s/^listen = .*/listen = { \"127.0.0.1:$PORT\", \"[::1]:$PORT\" }/" \
    "$T/cloisterd.conf"
service_start
user_new alice
echo "[::1]:$PORT $FINGERPRINT" >>"$T/alice/known_servers"

from_one() {
	as alice list
}
from_other() {
	as alice -H "[::1]:$PORT" list
}

# The kex workers that serve somebody, or wait for one.
kex_workers() {
	for _p in $(service_pids); do
		tr '\0' ' ' <"/proc/$_p/cmdline" 2>/dev/null |
		    grep -q '^cloisterd: kex' && echo "$_p"
	done
	return 0
}

# Whether a process has an internet socket: it has been given a client.
has_client() {
	for _f in /proc/"$1"/fd/*; do
		readlink "$_f" || true
	done | sed -n 's/^socket:\[\(.*\)\]$/\1/p' | while read -r _i; do
		awk -v i="$_i" '$10 == i { print "yes" }' /proc/net/tcp
	done | grep -q yes
}

# caught SIGNAL: connect, and send the worker that serves the connection a signal;
# it is $CAUGHT then.  (SEGV would be a sanitizer's, which exits in order.)
caught() {
	CAUGHT=
	rm -f "$T/hold" "$T/peer.out"
	mkfifo "$T/hold"
	CLOISTER_HOME="$T/alice" "$B/peer" --stop-after sh "127.0.0.1:$PORT" \
	    "$T/alice/id_cloister" <"$T/hold" >"$T/peer.out" 2>&1 &
	PEER=$!
	exec 8>"$T/hold"
	wait_for grep -q "^stopped" "$T/peer.out" || bad "the peer stops"
	for _p in $(kex_workers); do
		if has_client "$_p"; then
			kill "-$1" "$_p"
			CAUGHT=$_p
		fi
	done
	[ -n "$CAUGHT" ] || bad "a worker serves the peer"
	exec 8>&-
	wait $PEER || true
}

# A session from the other source, which stays.
mkfifo "$T/stays"
CLOISTER_HOME="$T/alice" "$B/peer" "[::1]:$PORT" "$T/alice/id_cloister" \
    <"$T/stays" >"$T/stays.out" 2>"$T/stays.err" &
STAYS=$!
exec 9>"$T/stays"
wait_for grep -q '^session' "$T/stays.out" || bad "a session begins"

now_ms() {
	date +%s%3N
}

# penalty SECONDS: a crash; its source is not served until so long afterwards.
# (How often it is turned away meanwhile is the machine's business.)
penalty() {
	_since=$(now_ms)
	caught SYS
	expect "another source is served" 0 "" from_other
	while :; do
		_got=0
		from_one >/dev/null 2>&1 || _got=$?
		[ $_got = 3 ] || break
		REFUSED=$((REFUSED + 1))
		sleep 0.1
	done
	[ $_got = 0 ] || bad "after a crash: status $_got"
	if [ $(($(now_ms) - _since)) -ge $(($1 * 1000)) ]; then
		good "a crash costs its source $1 s"
	else
		bad "a crash costs its source $1 s: served after" \
		    "$(($(now_ms) - _since)) ms"
	fi
}

before=$(role_pid zygote)
REFUSED=0
penalty 1
echo "echo: still here" >&9
if wait_for grep -q '^answered' "$T/stays.out"; then
	good "a session of before goes on"
else
	bad "a session of before goes on"
fi
if [ "$(role_pid zygote)" != "$before" ]; then
	good "the zygote is replaced"
else
	bad "the zygote is replaced"
fi
expect "the crash is in the audit log" 0 "worker.crash" \
    cat "$T/state/audit/audit.log"
# Each costs twice as much as the one before.
for s in 2 4 8 16; do
	penalty $s
	[ $REFUSED = 0 ] || [ $s -lt 4 ] || break
done
if [ $REFUSED -gt 0 ]; then
	good "its source is turned away"
else
	bad "its source is turned away"
fi
expect "the penalty is in the audit log, with its source" 0 \
    '"fields":{"source":"127.0.0.' grep '"event":"penalty"' \
    "$T/state/audit/audit.log"
exec 9>&-
wait $STAYS && good "the session ends properly" ||
    bad "the session ends properly: $(cat "$T/stays.err")"
one_zygote() {
	[ "$(for _p in $(service_pids); do
		tr '\0' '\n' <"/proc/$_p/cmdline" 2>/dev/null | head -n 1
	    done | grep -c '^cloisterd: zygote')" = 1 ]
}
if wait_for one_zygote; then
	good "retired zygotes leave with their last session"
else
	bad "retired zygotes leave with their last session"
fi
service_stop

# A worker that does not end its handshake by itself has its place no longer.
LIMITS="	login_grace = 4"
sed -i "s/^limits {/&\n$LIMITS/" "$T/cloisterd.conf"
service_start
before=$(role_pid zygote)
caught STOP
gone() {
	! kill -0 "$CAUGHT" 2>/dev/null
}
if wait_for gone; then
	good "a worker that hangs is killed"
else
	bad "a worker that hangs is killed"
	kill -9 "$CAUGHT"
fi
wait_for from_one && good "that was no crash: its source is served" ||
    bad "that was no crash: its source is served"
expect "the zygote stays" 0 "" test "$(role_pid zygote)" = "$before"
service_stop
