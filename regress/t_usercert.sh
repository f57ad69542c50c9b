#!/bin/sh
# Users who come with a certificate of an authority in client_ca: who is let in,
# what refuses every other one, and that a revoked certificate ends its sessions.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
. regress/ca.sh

AUDIT=state/audit/audit.log

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
LIMITS="	max_connections_per_source = 1000"
ca_new root
ca_new other
cp "$T/root/ca.pem" "$T/client-ca.pem"
ca_crl root "$T/client.crl"
EXTRA="client_ca = \"$T/client-ca.pem\"
client_crl = \"$T/client.crl\""
service_init
service_start

# keys NAME: keys and a client's directory, and nothing on the server.
keys() {
	mkdir -m 700 "$T/$1"
	CLOISTER_HOME="$T/$1" "$B/cloister" keygen -N >/dev/null ||
	    die "keygen failed"
	user_home "$1"
}
# has NAME FILE: that is the certificate in the user's configuration.
has() {
	user_home "$1"
	echo "cert_file = \"$2\"" >>"$T/$1/config"
}

keys alice
keys bob
ctl user add alice >/dev/null
ctl user add bob >/dev/null
expect "no request for a bad name" 1 "not a user's name" as alice csr 'al ice'
as alice csr alice >"$T/alice.csr"
as bob csr bob >"$T/bob.csr"
as bob csr alice >"$T/bobalice.csr"
expect "the request verifies" 0 "verify OK" \
    openssl req -in "$T/alice.csr" -noout -verify
expect "it names the user" 0 "URI:cloister:user:alice" \
    openssl req -in "$T/alice.csr" -noout -text
ca_sign root "$T/alice.csr" "$T/alice.pem"
ca_sign root "$T/bob.csr" "$T/bob.pem"

# A source with more than ten refusals in a minute has to wait.
N=0
again() {
	service_stop
	service_start
	N=0
}

# refused NAME WHO TEXT: the client says that the certificate was refused, and
# the audit log says why.
refused() {
	[ $((N += 1)) -le 9 ] || again
	expect "$1" 5 "refused this certificate" as "$2" ask "let me in"
	if grep '"event":"auth.refuse"' "$T/$AUDIT" | tail -n 1 |
	    grep -qF -e "$3"; then
		good "$1: the reason is audited"
	else
		bad "$1: the reason is audited: $(grep auth.refuse "$T/$AUDIT" |
		    tail -n 1)"
	fi
}

expect "the key alone is not enough" 5 "refused this key" as alice ask hello
has alice "$T/alice.pem"
expect "a certificate lets its user in" 0 "hello alice" \
    as alice ask "hello alice"
grep '"event":"auth.accept"' "$T/$AUDIT" | tail -n 1 | grep -q alice &&
    good "as this user" || bad "as this user"
grep '"event":"auth.certificate"' "$T/$AUDIT" | tail -n 1 |
    grep -q 'authority root' && good "its issuer is audited" ||
    bad "its issuer is audited"
has bob "$T/bob.pem"
expect "another user" 0 "hello bob" as bob ask "hello bob"
expect_not "sees nothing of the first" "hello alice" as bob list

# ---- refusals ---------------------------------------------------------------
has bob "$T/alice.pem"
expect "another's certificate: the client sees it" 2 "of another key" \
    as bob ask hello
aki="authorityKeyIdentifier = keyid"
eku="extendedKeyUsage = clientAuth"
uri="subjectAltName = URI:cloister:user:alice"
bad_cert() {	# NAME TEXT EXTENSIONS [openssl ca arguments]
	_name=$1 _text=$2 _ext=$3
	shift 3
	ca_sign_ext root "$T/alice.csr" "$T/bad.pem" "$_ext" "$@"
	has alice "$T/bad.pem"
	refused "$_name" alice "$_text"
}
bad_cert "expired" "has expired" "$aki|$eku|$uri" \
    -startdate 20200101000000Z -enddate 20210101000000Z
bad_cert "not valid yet" "not valid yet" "$aki|$eku|$uri" \
    -startdate 20400101000000Z -enddate 20410101000000Z
bad_cert "for servers" "not made for this use" \
    "$aki|extendedKeyUsage = serverAuth|$uri"
bad_cert "for no use" "not made for this use" "$aki|$uri"
bad_cert "not for signatures" "not made for this use" \
    "$aki|keyUsage = keyEncipherment|$eku|$uri"
bad_cert "no user" "names no user" "$aki|$eku"
bad_cert "a user in the common name" "names no user" \
    "$aki|$eku|subjectAltName = email:alice@example.org"
bad_cert "two users" "names no user" \
    "$aki|$eku|$uri,URI:cloister:user:bob"
bad_cert "a user who is not there" "not known here" \
    "$aki|$eku|subjectAltName = URI:cloister:user:carol"
bad_cert "an authority" "not made for this use" \
    "$aki|$eku|$uri|basicConstraints = CA:TRUE"
ca_sign other "$T/alice.csr" "$T/bad.pem"
has alice "$T/bad.pem"
refused "an unknown authority" alice "not signed by an authority"
# bob has a certificate as alice: who the authority says is who comes in.
ca_sign root "$T/bobalice.csr" "$T/bobalice.pem"
has bob "$T/bobalice.pem"
expect "a second key of alice's" 0 "hello alice" as bob list
has bob "$T/bob.pem"
# One byte of the certificate that its authority did not sign.
openssl x509 -in "$T/alice.pem" -outform DER -out "$T/alice.der"
n=$(wc -c <"$T/alice.der")
{ head -c $((n - 1)) "$T/alice.der"; printf '\125'; } >"$T/flipped.der"
openssl x509 -inform DER -in "$T/flipped.der" -out "$T/flipped.pem"
has alice "$T/flipped.pem"
refused "a byte flipped" alice "not signed by an authority"
has alice "$T/alice.pem"

ctl user disable alice >/dev/null
refused "a disabled user" alice "user disabled"
ctl user enable alice >/dev/null
expect "enabled again" 0 "" as alice list

# A key that was enrolled and revoked is no key for a certificate either.
ctl key add bob "$T/bob/id_cloister.pub" >/dev/null
expect "a certificate of an enrolled key" 0 "" as bob list
ctl key revoke bob "$(ctl key list bob | awk 'NR == 1 { print $1 }')" >/dev/null
refused "a certificate of a revoked key" bob "key revoked"

# ---- revocation -------------------------------------------------------------
# chat_start NAME: a chat whose standard input stays open; CHAT is its pid.
chat_start() {
	rm -f "$T/$1.in"
	mkfifo "$T/$1.in"
	CLOISTER_HOME="$T/$1" "$B/cloister" chat <"$T/$1.in" >"$T/$1.out" \
	    2>"$T/$1.err" &
	CHAT=$!
	PIDS="$PIDS $CHAT"
	exec 7>"$T/$1.in"
	echo "hello from $1" >&7
	wait_for test -s "$T/$1.out" || bad "$1's chat begins"
}
live() {
	ctl session list | grep -q "$1"
}
ended() {
	! live "$1"
}
certd_new() {
	[ "$(role_pid certd)" != "$OLD" ] && [ "$(role_pid certd)" != 0 ]
}
reload() {
	OLD=$(role_pid certd)
	kill -HUP "$SERVICE_PID"
	wait_for certd_new || bad "a new certd"
}
again
chat_start alice
expect "session list says how" 0 "certificate" ctl session list
reload
sleep 0.3
live alice && good "a reload without news ends nothing" ||
    bad "a reload without news ends nothing"
kill -9 "$(role_pid certd)"
wait_for certd_new
echo "still there" >&7
wait_for grep -q "still there" "$T/alice.out" &&
    good "nor does the end of certd" || bad "nor does the end of certd"
ca_revoke root "$T/alice.pem"
ca_crl root "$T/client.crl"
kill -HUP "$SERVICE_PID"
wait_for ended alice && good "a revoked certificate ends its session" ||
    bad "a revoked certificate ends its session"
grep '"event":"session.revoke"' "$T/$AUDIT" | tail -n 1 |
    grep -q "was revoked" && good "the reason is audited" ||
    bad "the reason is audited"
echo "once more" >&7
exec 7>&-
_st=0
wait "$CHAT" || _st=$?
[ $_st -ne 0 ] && good "and the client's next question fails" ||
    bad "and the client's next question fails"
refused "revoked" alice "was revoked"

# A certificate that ends while its session lives.
as alice csr alice >"$T/alice.csr"
end=$(date -u -d '+5 seconds' +%Y%m%d%H%M%SZ)
ca_sign root "$T/alice.csr" "$T/short.pem" -enddate "$end"
has alice "$T/short.pem"
chat_start alice
wait_for ended alice && good "the end of a certificate ends its session" ||
    bad "the end of a certificate ends its session"
exec 7>&-
wait "$CHAT" || true
ca_sign root "$T/alice.csr" "$T/alice2.pem"
has alice "$T/alice2.pem"
expect "a new certificate of the same key" 0 "" as alice list

# Lists and authorities that are not there let nobody in.
ca_crl root "$T/old.crl" -crlsec 1
sleep 1.1
cp "$T/old.crl" "$T/client.crl"
reload
refused "an old list" alice "too old"
echo nothing >"$T/client.crl"
kill -HUP "$SERVICE_PID"
wait_for grep -q "stay in force" "$T/cloisterd.log" &&
    good "a damaged list is not taken" || bad "a damaged list is not taken"
refused "the list before it stays" alice "too old"
ca_crl root "$T/client.crl"
cp "$T/other/ca.pem" "$T/client-ca.pem"
reload
refused "an authority that was removed" alice "not trusted"
cp "$T/root/ca.pem" "$T/client-ca.pem"
reload
expect "and put back" 0 "" as alice list
service_stop
EXTRA=
service_config
service_start
refused "without client_ca" alice "no client_ca"
service_stop
