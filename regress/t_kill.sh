#!/bin/sh
# kill -9 of each role in the middle of a chat: what was acknowledged is there
# afterwards, no process is left behind, and the service comes back.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start --delay-ms 20
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo long:long"
service_init
service_start
user_new alice

n=0
for role in logger keyd engine hasher storaged zygote sessiond llmproxy connector \
    certd monitor; do
	n=$((n + 1))
	as alice ask -m echo "acknowledged before $role" >/dev/null
	rm -f "$T/flight.out"
	CLOISTER_HOME="$T/alice" "$B/cloister" ask -m long \
	    "in flight with $role" </dev/null >"$T/flight.out" \
	    2>"$T/flight.err" &
	CLIENT=$!
	wait_for test -s "$T/flight.out" || bad "$role: the answer begins"
	BEFORE=$(service_pids)
	if [ $role = monitor ]; then
		VICTIM=$SERVICE_PID
	else
		VICTIM=$(role_pid $role)
	fi
	kill -9 "$VICTIM"
	case $role in
	logger | keyd | engine | storaged | monitor)
		if wait_for gone; then
			good "$role killed: the service stops, nothing is left"
		else
			bad "$role killed: processes are left: $(ps -o pid=,args= -p \
			    "$(echo $BEFORE | tr ' ' ,)" | tr '\n' ';')"
		fi
		wait "$SERVICE_PID" 2>/dev/null || true
		SERVICE_PID=
		wait $CLIENT && bad "$role killed: the client says so" ||
		    good "$role killed: the client says so"
		service_start ;;
	*)
		wait_for sh -c "! kill -0 $VICTIM 2>/dev/null"
		if [ $role = zygote ] || [ $role = llmproxy ]; then
			wait $CLIENT && bad "$role killed: the client says so" ||
			    good "$role killed: the client says so"
		else
			kill $CLIENT 2>/dev/null || true
			wait $CLIENT 2>/dev/null || true
		fi
		wait_for as alice ask -m echo "again after $role" ||
		    bad "$role killed: it comes back"
		expect "$role killed: it is served again" 0 "once more" \
		    as alice ask -m echo "once more" ;;
	esac
	expect "$role killed: what was acknowledged is there" 0 \
	    "acknowledged before $role" as alice list
done
service_stop
