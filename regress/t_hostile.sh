#!/bin/sh
# Random bytes get silence while a user is served; a prompt of one mebibyte.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
LIMITS="	max_connections_per_source = 64"
service_init
service_start
user_new alice

"$B/flood" "$PORT" 1000 >"$T/flood.out" 2>&1 &
FLOOD=$!
expect "a user is served during the flood" 0 "in the flood" \
    as alice ask "in the flood"
if wait $FLOOD; then
	good "a thousand random connections: $(cat "$T/flood.out")"
else
	bad "a thousand random connections: $(cat "$T/flood.out")"
fi
expect "and after it" 0 "after the flood" as alice ask "after the flood"

head -c 1048570 /dev/zero | tr '\0' 'a' >"$T/big"
as alice ask <"$T/big" >"$T/big.out" 2>"$T/big.err" || cat "$T/big.err"
if [ "$(tr -d '\n' <"$T/big.out" | cmp - "$T/big" 2>&1)" = "" ]; then
	good "a prompt of one mebibyte comes back whole"
else
	bad "a prompt of one mebibyte comes back whole"
fi
ID=$(as alice list | awk 'NR == 1 { print $1 }')
as alice show "$ID" >"$T/big.show" 2>&1 || true
if [ "$(tr -cd a <"$T/big.show" | wc -c)" -ge 2097140 ]; then
	good "and is stored whole"
else
	bad "and is stored whole: $(wc -c <"$T/big.show") bytes shown"
fi
head -c 1048577 /dev/zero | tr '\0' 'a' >"$T/big"
expect "a longer one is refused before it is sent" 1,2,6 "" \
    as alice ask <"$T/big"
service_stop
