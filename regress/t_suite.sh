#!/bin/sh
# The suite of the handshake: the best that both ends have, remembered by the
# client, and no lesser one after it.
#
# OTHER, if it is set, is what to put in front of a command so that it runs with
# the build of another Debian: in this tree, on this network, with the same
# TMPDIR, and B its build directory.  Then also between the two builds, in both
# directions: cross13.sh does that.
#
#   t_suite.sh serve DIR	(in OTHER) a service with the user alice; its
#				directory is in DIR/ready; ends with DIR/stop
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

with_service() {
	service_new
	standin_start
	URL=http://127.0.0.1:$UPSTREAM_PORT/v1
	MODELS=echo:echo
	service_init
	service_start
	user_new alice
}

# best [OTHER]: the best suite that a build for this OpenSSL has.
best() {
	if "$@" pkg-config --atleast-version=3.5 libcrypto; then
		echo 2
	else
		echo 1
	fi
}

# ask HOME [OTHER]: a question by the client of this or the other build.
ask() {
	_home=$1
	shift
	"$@" env CLOISTER_HOME="$_home" sh -c \
	    'CLOISTER_LIBEXEC=$B exec "$B/cloister" -v ask "are you there"'
}

# accepted DIR SUITE: that is the suite of the audit log's last accept.
accepted() {
	grep '"event":"auth.accept"' "$1/state/audit/audit.log" | tail -n 1 |
	    grep -q "\"suite\":$2}"
}

# check NAME COMMAND...
check() {
	_name=$1
	shift
	if "$@"; then good "$_name"; else bad "$_name"; fi
}

# remembers HOME SUITE: suite 2 is in known_servers if that is it.
remembers() {
	case $2 in
	1) ! grep -q suite2 "$1/known_servers" ;;
	2) grep -q ' suite2$' "$1/known_servers" ;;
	esac
}

# The known server as one with which suite 2 was spoken.
pin_suite2() {
	sed -i 's/ suite2$//; s/$/ suite2/' "$1/known_servers"
}

if [ "${1:-}" = serve ]; then
	with_service
	echo "$T" >"$2/ready.new"
	mv "$2/ready.new" "$2/ready"
	wait_for_stop=600
	while [ ! -e "$2/stop" ] && [ $wait_for_stop -gt 0 ]; do
		sleep 0.2
		wait_for_stop=$((wait_for_stop - 1))
	done
	service_stop
	exit
fi

export B
with_service
OURS=$(best)
expect "this build speaks suite $OURS with itself" 0 "hello, suite $OURS (" \
    ask "$T/alice"
check "which the audit log says" accepted "$T" $OURS
check "and the client remembers" remembers "$T/alice" $OURS
expect "again" 0 "hello, suite $OURS (" ask "$T/alice"
: >"$T/alice/known_servers"
echo "first_contact = accept" >>"$T/alice/config"
expect "at first contact" 0 "hello, suite $OURS (" ask "$T/alice"
check "it is remembered as well" remembers "$T/alice" $OURS
pin_suite2 "$T/alice"
if [ "$OURS" = 2 ]; then
	expect "a server with which suite 2 was spoken" 0 "suite 2 (" \
	    ask "$T/alice"
else
	expect "a server with which suite 2 was spoken" 4 "not connected" \
	    ask "$T/alice"
fi

service_stop
EXTRA="require_pq = yes"
service_config
if [ "$OURS" = 2 ]; then
	service_start
	expect "suite 2 is required, and there" 0 "suite 2 (" ask "$T/alice"
	[ -z "${OTHER:-}" ] || [ "$(best $OTHER)" = 2 ] ||
	    expect "and silence for who has not got it" 3 "" \
	    ask "$T/alice" $OTHER
	service_stop
else
	expect "suite 2 cannot be required without OpenSSL 3.5" 78 "no ML-KEM" \
	    "$B/cloisterd" -t -f "$T/cloisterd.conf"
fi
EXTRA=
service_config
service_start

if [ -n "${OTHER:-}" ]; then
	THEIRS=$(best $OTHER)
	COMMON=$OURS
	[ "$THEIRS" -gt "$OURS" ] || COMMON=$THEIRS
	user_home alice
	expect "service of suite $OURS, client of suite $THEIRS: $COMMON" 0 \
	    "hello, suite $COMMON (" ask "$T/alice" $OTHER
	check "audited" accepted "$T" $COMMON
	check "remembered" remembers "$T/alice" $COMMON
	pin_suite2 "$T/alice"
	[ $COMMON = 2 ] || expect "no suite 1 after suite 2" 4 \
	    "your key was not sent" ask "$T/alice" $OTHER

	mkdir "$T/other"
	$OTHER sh regress/t_suite.sh serve "$T/other" >"$T/other/out" 2>&1 &
	PIDS="$PIDS $!"
	wait_for test -e "$T/other/ready" || {
		cat "$T/other/out" >&2
		die "the other build's service does not start"
	}
	T2=$(cat "$T/other/ready")
	expect "service of suite $THEIRS, client of suite $OURS: $COMMON" 0 \
	    "hello, suite $COMMON (" ask "$T2/alice"
	check "audited" accepted "$T2" $COMMON
	check "remembered" remembers "$T2/alice" $COMMON
	pin_suite2 "$T2/alice"
	[ $COMMON = 2 ] || expect "no suite 1 after suite 2" 4 \
	    "your key was not sent" ask "$T2/alice"
	touch "$T/other/stop"
	wait_for test ! -e "$T2" || bad "the other build's service ends"
fi
service_stop
