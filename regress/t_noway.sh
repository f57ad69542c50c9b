#!/bin/sh
# llmproxy has no way out but the provider: no proxy, no netrc, no redirect, no
# other protocol, no weaker TLS, no socket that the connector did not give it.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

# certificate NAME SAN: $T/NAME.crt and .key, its own authority.
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	    -days 2 -subj "/CN=$1" -addext "subjectAltName=$2" \
	    -keyout "$T/$1.key" -out "$T/$1.crt" 2>/dev/null
}

# Where a process's internet sockets lead: "address port" in hexadecimal, as
# /proc/net has them, each once.
leads_to() {
	for _f in /proc/"$1"/fd/*; do
		readlink "$_f" || true
	done | sed -n 's/^socket:\[\(.*\)\]$/\1/p' >"$T/inodes"
	cat /proc/"$1"/net/tcp /proc/"$1"/net/tcp6 /proc/"$1"/net/udp \
	    /proc/"$1"/net/udp6 /proc/"$1"/net/raw 2>/dev/null |
	    awk -v inodes="$T/inodes" '
		BEGIN { while ((getline i < inodes) > 0) mine[i] = 1 }
		$10 in mine { print $3 }' | sort -u
}

# ask_in_flight MODEL: an answer that does not end, in the background.
ask_in_flight() {
	rm -f "$T/flight.out"
	CLOISTER_HOME="$T/alice" "$B/cloister" ask -m "$1" "wait" </dev/null \
	    >"$T/flight.out" 2>/dev/null &
	CLIENT=$!
	wait_for test -s "$T/flight.out" || bad "the answer begins"
}

service_new
standin_start --delay-ms 2 --log "$T/upstream.log"
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS="echo:echo stall:stall redirect:redirect redirectfile:redirectfile
    redirecthere:redirecthere"

# A proxy that answers, and a password for the provider in a netrc.
mkdir -m 700 "$T/home"
(umask 077; echo "machine 127.0.0.1 login thief password thief" \
    >"$T/home/.netrc")
"$B/standin" --log "$T/trap.log" >"$T/trap.out" 2>&1 &
PIDS="$PIDS $!"
wait_for grep -q '^listening' "$T/trap.out"
TRAP=$(sed -n 's/^listening //p' "$T/trap.out")
UNDER="env HOME=$T/home NETRC=$T/home/.netrc"
for v in http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY; do
	UNDER="$UNDER $v=http://127.0.0.1:$TRAP"
done
service_init
service_start
user_new alice
expect "an answer despite a proxy and a netrc" 0 "straight" \
    as alice ask "straight"
if [ ! -s "$T/trap.log" ] && grep -q '^echo 1 done' "$T/upstream.log"; then
	good "the proxy of the environment is not used"
else
	bad "the proxy of the environment is not used"
fi
if grep -q credentials "$T/upstream.log"; then
	bad "no password of a netrc is sent"
else
	good "no password of a netrc is sent"
fi
expect "a redirect to the metadata address" 6 "redirect" \
    as alice ask -m redirect "x"
expect "a redirect to a file" 6 "redirect" as alice ask -m redirectfile "x"
expect "a redirect to the provider itself" 6 "redirect" \
    as alice ask -m redirecthere "x"
expect_not "nothing of a file is shown" "root:" as alice show \
    "$(as alice list | awk 'NR == 2 { print $1 }')"

if [ "$(id -u)" = 0 ]; then
	want=$(printf '0100007F:%04X' "$UPSTREAM_PORT")
	ask_in_flight stall
	got=$(leads_to "$(role_pid llmproxy)")
	if [ "$got" = "$want" ]; then
		good "llmproxy's one internet socket leads to the provider"
	else
		bad "llmproxy's sockets lead to: $got, not: $want"
	fi
	for r in connector keyd engine hasher storaged certd zygote logger; do
		got=$(leads_to "$(role_pid $r)")
		if [ -z "$got" ]; then
			good "$r has no internet socket"
		else
			bad "$r's sockets lead to: $got"
		fi
	done
	for r in llmproxy connector; do
		if tr '\0' '\n' </proc/"$(role_pid $r)"/environ |
		    grep -qi -e proxy= -e HOME= -e NETRC=; then
			bad "$r has nothing of the environment"
		else
			good "$r has nothing of the environment"
		fi
	done
	kill $CLIENT
	wait $CLIENT || true
fi
service_stop
kill "$UPSTREAM_PID"

# https, where plain http or an outdated TLS answers.
certificate right IP:127.0.0.1,DNS:models.example
CA_FILE=$T/right.crt
standin_start --log "$T/plain.log"
URL=https://127.0.0.1:$UPSTREAM_PORT/v1
service_config
service_start
expect "plain http on the https port is an error" 6 "" as alice ask "secret"
if [ ! -s "$T/plain.log" ]; then
	good "and nothing was sent in clear"
else
	bad "and nothing was sent in clear"
fi
service_stop
kill "$UPSTREAM_PID"

UPSTREAM_PORT=$(free_port)
openssl s_server -accept "127.0.0.1:$UPSTREAM_PORT" -cert "$T/right.crt" \
    -key "$T/right.key" -tls1_1 -cipher ALL:@SECLEVEL=0 -www \
    >"$T/old.out" 2>&1 &
PIDS="$PIDS $!"
wait_for grep -q ACCEPT "$T/old.out" || bad "an outdated TLS server starts"
URL=https://127.0.0.1:$UPSTREAM_PORT/v1
service_config
service_start
expect "an outdated TLS is an error" 6 "" as alice ask "x"
service_stop

# A name that only the resolver's files know, in a mount namespace of its own.
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	standin_start --tls "$T/right.crt" "$T/right.key"
	echo "127.0.0.1 models.example elsewhere.example" >"$T/hosts"
	chmod 644 "$T/hosts"
	cat >"$T/under" <<-EOF
	mount --bind "$T/hosts" /etc/hosts || exit 1
	exec "\$@"
	EOF
	UNDER="unshare -m sh $T/under"
	URL=https://models.example:$UPSTREAM_PORT/v1
	service_config
	service_start
	expect "a name from the resolver's files" 0 "by name" \
	    as alice ask "by name"
	service_stop
	URL=https://elsewhere.example:$UPSTREAM_PORT/v1
	service_config
	service_start
	expect "a certificate for another name is refused" 6 "" \
	    as alice ask "x"
	service_stop
	URL=https://nowhere.example:$UPSTREAM_PORT/v1
	service_config
	service_start
	expect "a name that nobody knows is an error" 6 "" as alice ask "x"
	service_stop
fi
