#!/bin/sh
# kill -9 of a role that holds or stores, at random moments, while three users'
# worth of questions come in: after each start everything that was acknowledged is
# there and verifies.  20 rounds, 200 with LONG=1 (make check-long).
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
ROUNDS=20
[ -z "${LONG:-}" ] || ROUNDS=200

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice
: >"$T/acknowledged"

# Questions until one is not answered.
load() {
	_i=0
	while as alice ask "round $1 writer $2 question $_i" >/dev/null 2>&1
	do
		echo "round $1 writer $2 question $_i" >>"$T/acknowledged"
		_i=$((_i + 1))
	done
}
# A number below $1.
random() {
	od -An -N2 -tu2 /dev/urandom | awk -v n="$1" '{ print $1 % n }'
}
# How many acknowledged ones are not in the list.
missing() {
	as alice list >"$T/list"
	sort "$T/acknowledged" >"$T/want"
	cut -f 4 "$T/list" | sort >"$T/have"
	comm -23 "$T/want" "$T/have" | wc -l
}

lost=0 done=0
for _r in $(seq "$ROUNDS"); do
	_before=$(wc -l <"$T/acknowledged")
	_loads=
	for _w in 1 2 3; do
		load "$_r" "$_w" &
		_loads="$_loads $!"
	done
	# Somewhere behind the first answer of the round.
	wait_for sh -c "[ \$(wc -l <'$T/acknowledged') -gt $_before ]"
	case $(random 4) in
	0) _role=storaged ;;
	1 | 2) _role=engine ;;
	3) _role=monitor ;;
	esac
	_pid=$SERVICE_PID
	[ $_role = monitor ] || _pid=$(role_pid $_role)
	BEFORE=$(service_pids)
	sleep "0.$(printf %03d "$(random 200)")"
	kill -9 "$_pid"
	wait "$SERVICE_PID" 2>/dev/null || true
	SERVICE_PID=
	wait $_loads
	wait_for gone || bad "round $_r: processes are left after $_role"
	service_start
	_n=$(missing)
	lost=$((lost + _n))
	done=$((done + 1))
	[ "$_n" = 0 ] || bad "round $_r, $_role: $_n acknowledged are lost"
done
if ctl storage verify >"$T/verify.out" 2>&1; then
	good "and everything verifies"
else
	bad "and everything verifies"
	cat "$T/verify.out"
fi
if [ "$lost" = 0 ] && [ "$(wc -l <"$T/acknowledged")" -ge "$done" ]; then
	good "nothing acknowledged is lost ($(wc -l <"$T/acknowledged") answers)"
else
	bad "$lost of $(wc -l <"$T/acknowledged") acknowledged are lost"
fi
echo "count kill rounds: $done, lost $lost"
service_stop
