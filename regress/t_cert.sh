#!/bin/sh
# X.509 certificates of servers and users, made by openssl(1): which are taken, and
# that every other one is refused with its own words, the server's before the client
# has said anything about itself.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
. regress/ca.sh

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
LIMITS="	max_connections_per_source = 1000"
service_init

# ---- requests --------------------------------------------------------------
expect "no request for nobody" 2 "usage" ctl csr
expect "no request for a wildcard" 1 "not a host's name" ctl csr '*.example'
ctl csr 127.0.0.1 localhost >"$T/host.csr"
expect "the host key's request verifies" 0 "verify OK" \
    openssl req -in "$T/host.csr" -noout -verify
expect "it has the names" 0 "DNS:localhost" \
    openssl req -in "$T/host.csr" -noout -text
ctl csr 192.0.2.1 elsewhere.example >"$T/elsewhere.csr"

ca_new root
ca_new other
ca_new weak -algorithm RSA -pkeyopt rsa_keygen_bits:2048
ca_new twin
# The name of root with another key: what a forger would make.
openssl req -new -x509 -key "$T/twin/ca.key" -subj "/CN=authority root" \
    -days 3650 -config "$T/twin/conf" -extensions ca_ext \
    -out "$T/twin/ca.pem" 2>/dev/null

SERVER="digitalSignature"
san="subjectAltName = IP:127.0.0.1,DNS:localhost"
aki="authorityKeyIdentifier = keyid"
ca_sign root "$T/host.csr" "$T/good.pem"
ca_sign root "$T/host.csr" "$T/expired.pem" -startdate 20200101000000Z \
    -enddate 20210101000000Z
ca_sign root "$T/host.csr" "$T/early.pem" -startdate 20400101000000Z \
    -enddate 20410101000000Z
ca_sign root "$T/elsewhere.csr" "$T/name.pem"
ca_sign_ext root "$T/host.csr" "$T/client.pem" \
    "$aki|extendedKeyUsage = clientAuth|$san"
ca_sign_ext root "$T/host.csr" "$T/nousage.pem" "$aki|$san"
ca_sign_ext root "$T/host.csr" "$T/encipher.pem" \
    "$aki|keyUsage = keyEncipherment|extendedKeyUsage = serverAuth|$san"
ca_sign_ext root "$T/host.csr" "$T/cnonly.pem" \
    "$aki|extendedKeyUsage = serverAuth" -subj "/CN=127.0.0.1"
ca_sign other "$T/host.csr" "$T/other.pem"
ca_sign weak "$T/host.csr" "$T/weak.pem"
ca_sign twin "$T/host.csr" "$T/forged.pem"
ca_sign root "$T/host.csr" "$T/revoked.pem"
ca_crl root "$T/before.crl"
ca_revoke root "$T/revoked.pem"
ca_crl root "$T/root.crl"
# openssl ca(1) has no way to date a list back; one that is due at once is old
# when it is used.
ca_crl root "$T/old.crl" -crlsec 1
ca_crl other "$T/other.crl"
# An authority below root.
ca_new below
openssl req -new -key "$T/below/ca.key" -subj "/CN=authority below" \
    -config "$T/below/conf" -out "$T/below.csr" 2>/dev/null
ca_sign_ext root "$T/below.csr" "$T/below/ca.pem" "basicConstraints = \
critical,CA:TRUE|keyUsage = critical,keyCertSign,cRLSign|\
subjectKeyIdentifier = hash|$aki"
ca_sign below "$T/host.csr" "$T/leaf.pem"
cat "$T/leaf.pem" "$T/below/ca.pem" >"$T/chain.pem"
ca_crl below "$T/below.crl"
cat "$T/root.crl" "$T/below.crl" >"$T/both.crl"

# ---- cloisterd -t ----------------------------------------------------------
cp "$T/good.pem" "$T/shown.pem"
CERTS="certificate = \"$T/shown.pem\""
EXTRA=$CERTS
service_config
config_test() {
	"$B/cloisterd" -t -f "$T/cloisterd.conf" -L "$B"
}
expect "cloisterd -t: a certificate of the host key" 0 "ok" config_test
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 \
    -out "$T/foreign.key" 2>/dev/null
openssl req -new -x509 -key "$T/foreign.key" -subj /CN=localhost -days 30 \
    -addext "$san" -addext "extendedKeyUsage = serverAuth" \
    -out "$T/foreign.pem" 2>/dev/null
cp "$T/foreign.pem" "$T/shown.pem"
expect "cloisterd -t: of another key" 1 "not for this server's host key" \
    config_test
cp "$T/client.pem" "$T/shown.pem"
expect "cloisterd -t: for clients" 1 "serverAuth" config_test
cp "$T/expired.pem" "$T/shown.pem"
expect "cloisterd -t: expired" 0 "has expired or will" config_test
echo "no certificate" >"$T/shown.pem"
expect "cloisterd -t: none in the file" 1 "no certificate in it" config_test
cat "$T/chain.pem" "$T/chain.pem" "$T/chain.pem" >"$T/shown.pem"
expect "cloisterd -t: too many" 1 "more than four" config_test
expect "nor does the service start" 1 "not in order" \
    "$B/cloisterd" -f "$T/cloisterd.conf" -L "$B"
rm "$T/shown.pem"
expect "cloisterd -t: no file" 1 "No such file" config_test
cp "$T/good.pem" "$T/shown.pem"

# ---- the server shows, the client verifies ----------------------------------
service_start
user_new alice
user_new bob
"$B/relay" "$PORT" >"$T/relay.out" &
PIDS="$PIDS $!"
wait_for grep -q '^listening' "$T/relay.out" || die "no relay"
RELAY=$(sed -n 's/^listening //p' "$T/relay.out")
cp "$T/root/ca.pem" "$T/trusted.pem"

# client_says OPTION...: alice's configuration, and no server that she knows.
client_says() {
	{
		echo "server = \"127.0.0.1:$RELAY\""
		printf '%s\n' "$@"
	} >"$T/alice/config"
	rm -f "$T/alice/known_servers"
}

# show FILE: the server has these certificates from now on.
zygote_new() {
	[ "$(role_pid zygote)" != "$OLD" ]
}
show() {
	cp "$T/$1.pem" "$T/shown.pem"
	OLD=$(role_pid zygote)
	kill -HUP "$SERVICE_PID"
	wait_for zygote_new || bad "a new zygote shows $1"
}

# What the last connection's client sent, in bytes.
sent() {
	awk '$2 == "c" { if ($1 != n) { n = $1; s = 0 } s += $4 } END { print s }' \
	    "$T/relay.out"
}

# A source with more than ten refusals in a minute has to wait.
again() {
	service_stop
	service_start
	N=0
}
N=0

# refused NAME TEXT: the client says so, and has sent nothing but CH.
refused() {
	[ $((N += 1)) -le 9 ] || again
	expect "$1" 4 "$2" as alice ask "are you there"
	cp "$T/expect.out" "$T/said"
	grep -qF "your key was not sent" "$T/said" && [ "$(sent)" = 2048 ] &&
	    good "$1: nothing but CH was sent" ||
	    bad "$1: $(sent) bytes were sent; $(cat "$T/said")"
}

client_says "ca_file = \"$T/trusted.pem\""
expect "a good certificate" 0 "hello" as alice ask hello
[ ! -e "$T/alice/known_servers" ] ||
    ! grep -v certificate "$T/alice/known_servers" &&
    good "its key is not pinned" || bad "its key is not pinned"
expect "by name" 0 "hello" as alice -H "localhost:$RELAY" ask hello

show expired
refused "expired" "has expired"
grep -qF "valid from 2020-01-01 to 2021-01-01" "$T/said" &&
    good "expired: when" || bad "expired: when: $(cat "$T/said")"
show early
refused "not valid yet" "not valid yet"
show name
refused "another name" "for another name"
show other
refused "an unknown authority" "an authority that is not trusted"
grep -qF 'issued by "CN=authority other"' "$T/said" &&
    good "which authority it is" || bad "which authority it is"
show forged
refused "forged in the name of root" "not trusted"
cp "$T/weak/ca.pem" "$T/trusted.pem"
show weak
expect "a weak authority is no authority" 4,1 "too weak" as alice ask hello
cp "$T/root/ca.pem" "$T/trusted.pem"
show leaf
refused "without the one between" "an authority that is not trusted"
show chain
expect "a chain" 0 "hello" as alice ask hello
cat "$T/other/ca.pem" "$T/root/ca.pem" >"$T/trusted.pem"
expect "one of two authorities" 0 "hello" as alice ask hello
cp "$T/root/ca.pem" "$T/trusted.pem"

# What cloisterd itself would not show: it looks when it starts and is told to.
OLD=$(role_pid zygote)
cp "$T/client.pem" "$T/shown.pem"
kill -HUP "$SERVICE_PID"
wait_for grep -q "stay in force" "$T/cloisterd.log" &&
    [ "$(role_pid zygote)" = "$OLD" ] &&
    good "a reload of what is not in order changes nothing" ||
    bad "a reload of what is not in order changes nothing"
show_anyway() {
	cp "$T/good.pem" "$T/shown.pem"
	again
	cp "$T/$1.pem" "$T/shown.pem"
	kill -9 "$(role_pid zygote)"
	wait_for as bob models || bad "a new zygote shows $1"
}
for f in client nousage encipher; do
	show_anyway $f
	refused "usage: $f" "not made for this use"
done
show_anyway cnonly
refused "a common name is no name" "for another name"
show_anyway foreign
refused "of another key: not shown" "no certificate was shown"
cp "$T/good.pem" "$T/shown.pem"
again

# Revocation lists.
client_says "ca_file = \"$T/trusted.pem\"" "crl_file = \"$T/list.crl\""
cp "$T/root.crl" "$T/list.crl"
expect "not revoked" 0 "hello" as alice ask hello
show revoked
refused "revoked" "was revoked"
show good
cp "$T/other.crl" "$T/list.crl"
refused "no list of this authority" "no revocation list"
cp "$T/old.crl" "$T/list.crl"
refused "an old list" "too old"
: >"$T/list.crl"
expect "an empty list" 1 "no revocation list in it" as alice ask hello
openssl crl -in "$T/root.crl" -outform DER -out "$T/list.crl"
expect "a list in DER" 0 "hello" as alice ask hello
show chain
refused "a chain needs the list of each authority" "no revocation list"
cp "$T/both.crl" "$T/list.crl"
expect "and has it" 0 "hello" as alice ask hello
show good

# Which proof is enough.
pinned() {
	echo "127.0.0.1:$RELAY $FINGERPRINT" >"$T/alice/known_servers"
	chmod 600 "$T/alice/known_servers"
}
client_says "trust = certificate"
expect "trust = certificate needs an authority" 2 "needs ca_file" \
    as alice models
client_says "ca_file = \"$T/other/ca.pem\"" "trust = pinned" \
    "first_contact = refuse"
refused_pin() {
	expect "$1" 4 "$2" as alice ask hello
}
refused_pin "pinned: no certificate counts" "is not known"
pinned
expect "pinned: nor does a bad one" 0 "hello" as alice ask hello
client_says "ca_file = \"$T/other/ca.pem\"" "trust = either"
refused "either: neither" "not trusted"
pinned
expect "either: the pin" 0 "hello" as alice ask hello
client_says "ca_file = \"$T/trusted.pem\"" "trust = either"
expect "either: the certificate" 0 "hello" as alice ask hello
client_says "ca_file = \"$T/trusted.pem\"" "trust = both" \
    "first_contact = refuse"
refused_pin "both: the certificate alone" "is not known"
client_says "ca_file = \"$T/other/ca.pem\"" "trust = both"
pinned
refused "both: the pin alone" "not trusted"
client_says "ca_file = \"$T/trusted.pem\"" "trust = both"
pinned
expect "both" 0 "hello" as alice ask hello
service_stop
EXTRA=
service_config
service_start
client_says "ca_file = \"$T/trusted.pem\""
refused "no certificate" "no certificate was shown"
service_stop
