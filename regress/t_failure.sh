#!/bin/sh
# Failure by design: each role killed at each step of a handshake, and struck by
# a forbidden system call's signal in the middle of an answer; a crash in a
# handshake costs its source a delay and nobody else anything; few descriptors,
# little memory, many logs.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long-1"
service_init
service_start
user_new alice
as alice ask "acknowledged at first" >/dev/null

# peer_start OPTION...: a session that can be stopped; its lines are fd 9.
peer_start() {
	rm -f "$T/hold" "$T/peer.out"
	mkfifo "$T/hold"
	CLOISTER_HOME="$T/alice" "$B/peer" "$@" "$T/alice/id_cloister" \
	    <"$T/hold" >"$T/peer.out" 2>"$T/peer.err" &
	PEER=$!
	exec 9>"$T/hold"
}

# peer_ends: its exit status, within the time that a handshake may take.
peer_ends() {
	wait_for sh -c "! kill -0 $PEER 2>/dev/null || grep -q Z \
	    /proc/$PEER/stat" || kill $PEER
	_status=0
	wait $PEER || _status=$?
	return $_status
}

# fallen ROLE WHEN: one whose death stops the service has ended: all of it has.
fallen() {
	if wait_for gone; then
		good "$2: $1: the service stops, nothing is left"
	else
		bad "$2: $1: processes are left"
	fi
	wait "$SERVICE_PID" 2>/dev/null && bad "$2: $1: it says that it failed"
	SERVICE_PID=
	if grep -q "$1.* has ended" "$T/cloisterd.log" || [ $1 = logger ]; then
		good "$2: $1: the reason is logged"
	else
		bad "$2: $1: the reason is logged"
	fi
	service_start
}

for step in connect sh kw; do
	for role in logger keyd engine hasher storaged zygote sessiond llmproxy \
	    connector certd; do
		: >"$T/cloisterd.log"
		peer_start --stop-after $step "127.0.0.1:$PORT"
		wait_for grep -q "^stopped" "$T/peer.out" ||
		    bad "$step: the test peer stops"
		BEFORE=$(service_pids)
		victim=$(role_pid $role)
		kill -9 "$victim"
		wait_for sh -c "! kill -0 $victim 2>/dev/null" ||
		    bad "killed after $step: $role: it dies"
		case $role in
		logger | keyd | engine | storaged)
			fallen $role "killed after $step" ;;
		esac
		# It may have ended already.
		(trap '' PIPE; echo go >&9) 2>/dev/null || true
		exec 9>&-
		case $role,$step in
		hasher,* | sessiond,sh | sessiond,kw | llmproxy,* | \
		    connector,* | certd,*)
			peer_ends && good "killed after $step: $role: goes on" ||
			    bad "killed after $step: $role: goes on" ;;
		zygote,* | sessiond,connect)
			# One that it did not have yet is its successor's.
			peer_ends && [ $step != connect ] &&
			    bad "killed after $step: $role: no session" ||
			    good "killed after $step: $role: no half session" ;;
		*)
			peer_ends &&
			    bad "killed after $step: $role: no session" ||
			    good "killed after $step: $role: no session" ;;
		esac
		wait_for as alice list ||
		    bad "killed after $step: $role: served again"
	done
done

for role in logger keyd engine hasher storaged zygote sessiond llmproxy connector \
    certd; do
	: >"$T/cloisterd.log"
	rm -f "$T/flight.out"
	CLOISTER_HOME="$T/alice" "$B/cloister" ask -m long \
	    "struck with $role" </dev/null >"$T/flight.out" \
	    2>"$T/flight.err" &
	CLIENT=$!
	wait_for test -s "$T/flight.out" || bad "$role: the answer begins"
	BEFORE=$(service_pids)
	kill -SYS "$(role_pid $role)"
	case $role in
	hasher | sessiond | connector | certd)
		wait $CLIENT && good "SIGSYS: $role: the answer goes on" ||
		    bad "SIGSYS: $role: the answer goes on" ;;
	*)
		if ! wait $CLIENT && [ -s "$T/flight.err" ]; then
			good "SIGSYS: $role: the user is told"
		else
			bad "SIGSYS: $role: the user is told"
		fi ;;
	esac
	case $role in
	logger | keyd | engine | storaged)
		fallen $role SIGSYS ;;
	esac
	wait_for as alice ask "again" || bad "SIGSYS: $role: served again"
	expect "SIGSYS: $role: the question is there" 0 "struck with $role" \
	    as alice list
done
expect "what was acknowledged is there" 0 "acknowledged at first" \
    as alice list
service_stop
