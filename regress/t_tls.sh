#!/bin/sh
# An https upstream: verified, or not spoken to.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

# certificate NAME: $T/NAME.crt and .key for 127.0.0.1, its own authority.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -days 2 -subj "/CN=$1" -addext "subjectAltName=$2" \
	    -keyout "$T/$1.key" -out "$T/$1.crt" 2>/dev/null
}

service_new
certificate right IP:127.0.0.1
certificate wrong DNS:elsewhere.example
cat "$T/right.crt" >"$T/ca.crt"
standin_start --tls "$T/right.crt" "$T/right.key"
URL=https://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo"
CA_FILE=$T/ca.crt
service_init
service_start
user_new alice
expect "an answer over TLS" 0 "over tls" as alice ask "over tls"
service_stop

CA_FILE=$T/wrong.crt
service_config
service_start
expect "another authority's certificate is refused" 6 "" as alice ask "x"
service_stop

kill "$UPSTREAM_PID"
standin_start --tls "$T/wrong.crt" "$T/wrong.key"
URL=https://127.0.0.1:$UPSTREAM_PORT/v1
service_config
service_start
expect "a certificate for another name is refused" 6 "" as alice ask "x"
service_stop
