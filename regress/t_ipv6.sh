#!/bin/sh
# IPv4 and IPv6: listening on both, numeric and by name, what a source is, and a
# name whose first address leads nowhere.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

[ -e /proc/net/if_inet6 ] || {
	echo "ok not tried: this machine has no IPv6"
	exit 0
}
service_new
standin_start
URL=http://127.0.0.1:$UPSTREAM_PORT/v1
MODELS=echo:echo
LIMITS="	max_connections_per_source = 4"
service_init
sed -i "s/^listen = .*/listen = { \"127.0.0.1:$PORT\", \"[::1]:$PORT\" }/" \
    "$T/cloisterd.conf"
service_start
user_new alice
for name in "[::1]" "127.0.0.1" localhost; do
	echo "$name:$PORT $FINGERPRINT" >>"$T/alice/known_servers"
	expect "a client comes by $name" 0 "by $name" \
	    as alice ask -H "$name:$PORT" "by $name"
done
for source in "[::1]" 127.0.0.1; do
	expect "the audit log has the source $source" 0 "" \
	    grep -F "\"source\":\"$source:" "$T/state/audit/audit.log"
done

# In a network of its own: a whole /64 is one source, another one is not; and a
# name with an address that swallows everything in front of one that answers.
if [ "$(id -u)" = 0 ] && unshare -nm true 2>/dev/null; then
	service_stop
	PORT=7464
	sed -i "s/^listen = .*/listen = { \"0.0.0.0:7464\", \"[::]:7464\" }/" \
	    "$T/cloisterd.conf"
	for name in both.test; do
		echo "$name:7464 $FINGERPRINT" >>"$T/alice/known_servers"
	done
	cat >"$T/hosts" <<-EOF
		127.0.0.1 localhost
		2001:db8:dead::1 both.test
		127.0.0.1 both.test
	EOF
	unshare -nm sh -eu <<-EOF >"$T/netns.out" 2>&1 || true
		ip link set lo up
		mount --bind "$T/hosts" /etc/hosts
		# Neither refused nor answered: nobody has this address.
		ip -6 route add 2001:db8:dead::/64 dev lo
		for a in 2001:db8:1::1 2001:db8:1::2 2001:db8:2::1; do
			ip -6 addr add \$a/128 dev lo nodad
		done
		. regress/lib.sh
		. regress/expect.sh
		T=$T
		B=$B
		service_start
		CLOISTER_HOME="$T/alice" "$B/cloister" -v -H both.test list \
		    >"$T/both.out" 2>&1 || true
		if grep -q "connecting to 2001:db8:dead::1" "$T/both.out" &&
		    grep -q "welcome, alice" "$T/both.out"; then
			good "a name whose first address leads nowhere"
		else
			bad "a name whose first address leads nowhere: \$(cat "$T/both.out")"
		fi
		python3 - 7464 <<-PY
			import socket, sys, time
			def dial(source):
			    s = socket.socket(socket.AF_INET6)
			    s.bind((source, 0))
			    s.connect(("::1", int(sys.argv[1])))
			    return s
			def open_ones(socks):
			    n = 0
			    for s in socks:
			        s.settimeout(0.5)
			        try:
			            if s.recv(1) != b"":
			                n += 1
			        except socket.timeout:
			            n += 1
			        except OSError:
			            pass
			    return n
			socks = [dial("2001:db8:1::%d" % (1 + i % 2)) for i in range(8)]
			n = open_ones(socks)
			print("%s one /64 is one source: %d of 8 connections"
			      % ("ok" if n == 4 else "FAIL", n))
			n = open_ones([dial("2001:db8:2::1")])
			print("%s another /64 is another source"
			      % ("ok" if n == 1 else "FAIL"))
		PY
		service_stop
	EOF
	grep -E '^(ok|FAIL)' "$T/netns.out" || {
		bad "a network of its own"
		sed 's/^/    /' "$T/netns.out"
	}
fi
