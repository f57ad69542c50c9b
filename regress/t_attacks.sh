#!/bin/sh
# The attacks of regress/attacks.tbl that come over the network, by a peer that
# can send anything (regress/attack), against the real service and the real
# client.  After each of them others are served, and those that must be refused
# before a public-key operation have cost none.
#
#   t_attacks.sh [NUMBER...]	these alone
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
ONLY=" $* "

# operations WHAT: how many of them since the start.
operations() {
	ctl status | sed -n "s/^handshakes.* \([0-9]*\) $1.*/\1/p"
}

# attack NUMBER [OPERATION...]: none of these has happened.
attack() {
	_n=$1
	shift
	[ "$ONLY" = "  " ] || case $ONLY in
	*" $_n "*) ;;
	*) return 0 ;;
	esac
	for _o in "$@"; do
		eval "_before_$_o=$(operations $_o)"
	done
	_status=0
	timeout 300 "$B/attack" "$_n" "$PORT" "$PIN" "$T/alice" "$T/bob" \
	    "$T/mallory" >"$T/attack.out" 2>&1 || _status=$?
	grep '^count ' "$T/attack.out" || true
	if [ $_status -eq 0 ]; then
		good "attack $_n: it fails"
	else
		bad "attack $_n: status $_status"
		grep -v '^count ' "$T/attack.out" | cut -c 1-300 | head -n 20
	fi
	for _o in "$@"; do
		_after=$(operations $_o)
		if [ "$_after" = "$(eval echo \$_before_$_o)" ]; then
			good "attack $_n: no $_o"
			echo "count attack $_n: 0 more $_o"
		else
			bad "attack $_n: $_o: $(eval echo \$_before_$_o), then $_after"
		fi
	done
	expect "attack $_n: served afterwards" 0 "afterwards" \
	    as carol ask "afterwards"
}

service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
# No penalty shall hide what is tried from addresses that were there before.
EXTRA="first_contact = no"
service_init
service_start
for u in alice bob carol; do
	user_new $u
done
mkdir -m 700 "$T/mallory"
CLOISTER_HOME="$T/mallory" "$B/cloister" keygen -N >/dev/null
echo "first_contact = ask" >>"$T/alice/config"
export B
PIN=$(openssl pkey -pubin -inform DER -in "$T/state/keys/host.pub" \
    -pubout -outform DER 2>/dev/null | sha256sum | cut -d ' ' -f 1)

attack 1 nonces signatures verifications
attack 2 nonces signatures verifications
attack 3
attack 4
attack 5
attack 6
attack 7
attack 8 signatures verifications
attack 9 signatures verifications
attack 10 verifications
attack 11 verifications
attack 12
attack 13
attack 14 grants
attack 15 grants
attack 17 grants
attack 18 grants
attack 19
attack 24
attack 25
attack 26
attack 27
attack 28
attack 29
attack 34
attack 37
attack 39 verifications
# Last: from here on neither of them is anybody.
ctl user disable bob >/dev/null
ctl key revoke alice "$(ctl key list alice | grep -o "SHA256:[^ ]*")" >/dev/null
attack 16 grants
service_stop || { bad "a clean stop: $?"; tail -n 5 "$T/cloisterd.log"; }
if grep -q 'worker.* crashed' "$T/cloisterd.log"; then
	bad "no worker crashed"
else
	good "no worker crashed"
fi
