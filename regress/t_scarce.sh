#!/bin/sh
# Few descriptors, little memory, many logs: what is there is not lost, nobody
# hangs, and it goes on when there is enough again.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

if [ "$(id -u)" != 0 ]; then
	echo "ok not tried: another user's limits are root's to change"
	exit 0
fi
service_new
standin_start --delay-ms 0
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice
as alice ask "there from the beginning" >/dev/null

# limit PID WHAT=SOFT: as its own user, who may lower and raise that.  One that
# has ended meanwhile has a successor without such a limit.
limit() {
	[ -d "/proc/$1" ] || return 0
	setpriv --reuid "$(awk '/^Uid/ { print $2 }' "/proc/$1/status")" \
	    --regid "$(awk '/^Gid/ { print $2 }' "/proc/$1/status")" --clear-groups \
	    prlimit --pid "$1" "--$2:" || ! [ -d "/proc/$1" ]
}

# within SECONDS COMMAND...: it ends by itself, well or not.
within() {
	_limit=$1
	shift
	_status=0
	timeout "$_limit" "$@" >"$T/expect.out" 2>&1 || _status=$?
	[ $_status -ne 124 ]
}

# again WHEN: served as before.
again() {
	wait_for as alice list || true
	expect "$1: served again" 0 "once more" as alice ask "once more"
	expect "$1: nothing is lost" 0 "there from the beginning" \
	    as alice list
}

alive() {
	kill -0 "$SERVICE_PID" 2>/dev/null &&
	    ! grep -q '^State:.Z' "/proc/$SERVICE_PID/status"
}

decided() {
	! alive || as alice list
}

# A session that stays while others are in want.
mkfifo "$T/hold"
CLOISTER_HOME="$T/alice" "$B/peer" "127.0.0.1:$PORT" \
    "$T/alice/id_cloister" <"$T/hold" >"$T/peer.out" 2>"$T/peer.err" &
PEER=$!
exec 9>"$T/hold"
wait_for grep -q '^session' "$T/peer.out" || bad "a session begins"
answers=0
for role in sessiond keyd storaged connector llmproxy; do
	pid=$(role_pid $role)
	was=$(awk '/^Max open files/ { print $4 }' "/proc/$pid/limits")
	# No descriptor more than it has.
	limit "$pid" nofile="$(ls "/proc/$pid/fd" | wc -l)"
	# One more than there are spare workers, at once.
	clients=
	for i in 1 2 3 4 5; do
		CLOISTER_HOME="$T/alice" timeout 90 "$B/cloister" ask "in want" \
		    >/dev/null 2>&1 &
		clients="$clients $!"
	done
	sleep 1
	if alive; then
		good "$role without descriptors: the service stays"
	else
		bad "$role without descriptors: the service stays"
		service_start
	fi
	new=$(role_pid $role)
	[ "$new" != "$pid" ] || limit "$pid" nofile="$was"
	hang=0
	for c in $clients; do
		status=0
		wait $c || status=$?
		[ $status -ne 124 ] || hang=$((hang + 1))
	done
	if [ $hang -eq 0 ]; then
		good "$role without descriptors: nobody hangs"
	else
		bad "$role without descriptors: $hang clients hang"
	fi
	again "$role without descriptors"
	if [ "$role" != llmproxy ] && [ "$role" != connector ]; then
		echo "echo: still here" >&9
		answers=$((answers + 1))
		answered() {
			[ "$(grep -c '^answered' "$T/peer.out")" -ge $answers ]
		}
		if wait_for answered; then
			good "$role without descriptors: sessions go on"
		else
			bad "$role without descriptors: sessions go on"
		fi
	fi
done
exec 9>&-
wait $PEER || true

# More than one log of the database: 12 questions and answers of one mebibyte.
head -c 1048576 /dev/zero | tr '\0' 'a' >"$T/big"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
	as alice ask <"$T/big" >/dev/null || bad "a large question is stored"
done
rotated() {
	[ "$(find "$T/state/db" -name "log.*" | sort | tail -n 1)" != \
	    "$(find "$T/state/db" -name "log.0000000001")" ] &&
	    [ -z "$(find "$T/state/db" -name "log.0000000001")" ]
}
if wait_for rotated; then
	good "the first log of the database is removed, others are there"
else
	bad "the logs: $(find "$T/state/db" -name 'log.*' | tr '\n' ' ')"
fi
kill -9 "$(role_pid engine)"
wait "$SERVICE_PID" || true
service_start
again "after many logs and a crash"
expect "each large question is there" 0 12 \
    sh -c "CLOISTER_HOME='$T/alice' '$B/cloister' list | grep -c aaaaaaaa"

# Little memory; AddressSanitizer's own maps leave no room for that.
if ! ldd "$B/storaged" | grep -q libasan; then
	for role in storaged engine llmproxy zygote; do
		pid=$(role_pid $role)
		size=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status")
		limit "$pid" as="$size"
		within 90 env CLOISTER_HOME="$T/alice" "$B/cloister" ask \
		    <"$T/big" && good "$role without memory: nobody hangs" ||
		    bad "$role without memory: nobody hangs"
		limit "$pid" as=unlimited
		# A service that stops takes a moment.
		wait_for decided || bad "$role without memory: it hangs"
		if ! alive; then
			wait "$SERVICE_PID" || true
			service_start
		fi
		again "$role without memory"
	done
fi
service_stop
