#!/bin/sh
# The storage key is changed while users talk; killed at any moment, the next
# start goes on; the key file of before opens nothing afterwards.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
service_init
service_start
user_new alice

for _i in 1 2 3 4 5; do
	as alice ask "kept $_i" >/dev/null
done

# Users go on meanwhile: every answer is there afterwards.
load() {
	for _i in 1 2 3 4 5 6 7 8; do
		as alice ask "load $1 $_i" >/dev/null 2>&1 &&
		    echo "load $1 $_i" >>"$T/acknowledged"
	done
}

mkdir "$T/before"
cp -a "$T/state/." "$T/before/"
: >"$T/acknowledged"
load a &
LOAD=$!
for _g in 2 3 4; do
	expect "rotate under load: generation $_g" 0 "key generation $_g" \
	    ctl storage rotate-key
done
wait "$LOAD"
expect "status says which generation" 0 "key generation 4" ctl status
expect "audited" 0 "storage.rotate" cat "$T/state/audit/audit.log"

for _i in 1 2 3 4 5 6; do
	load "k$_i" &
	LOAD=$!
	ctl storage rotate-key >/dev/null 2>&1 &
	_rotate=$!
	sleep "0.0$((_i * 2))"
	BEFORE=$(service_pids)
	kill -9 "$(role_pid storaged)" 2>/dev/null || true
	wait "$_rotate" || true
	wait "$LOAD" || true
	wait "$SERVICE_PID" 2>/dev/null || true
	SERVICE_PID=
	wait_for gone
	service_start
done
as alice list >"$T/list"
_lost=0
while read -r _line; do
	grep -q "$_line\$" "$T/list" || _lost=$((_lost + 1))
done <"$T/acknowledged"
if [ "$_lost" = 0 ] && [ "$(wc -l <"$T/acknowledged")" -ge 8 ]; then
	good "nothing acknowledged is lost"
else
	bad "$_lost of $(wc -l <"$T/acknowledged") acknowledged are lost"
fi
_bad=0
for _c in $(cut -f 1 "$T/list"); do
	as alice show "$_c" >/dev/null 2>&1 || _bad=$((_bad + 1))
done
if [ "$_bad" = 0 ]; then
	good "every conversation opens"
else
	bad "$_bad conversations do not open"
fi
expect "rotate once more" 0 "key generation" ctl storage rotate-key
service_stop || bad "a clean stop has status 0"

# The shares of before with the files of now: nothing.
cp "$T/before/vault/storage.key" "$T/state/vault/storage.key"
expect "the old key file opens nothing" 1 "" \
    "$B/cloisterd" -f "$T/cloisterd.conf" -L "$B"
