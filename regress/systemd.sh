#!/bin/sh
# The packages under a real systemd (make check-systemd): they are built,
# installed in a throw-away Debian, configured, used from outside, upgraded,
# removed and purged.
#
#   systemd.sh [SUITE]		bookworm, trixie; this machine's by default
#
# B is the build directory; roots are kept in B/systemd.  PREVIOUS may be a
# directory with packages of an earlier build: then they are installed first, and
# these are an upgrade.  Without it the packages of 0.1 are made from today's
# programs, with each file where 0.1 had it.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh
. regress/box.sh

HERE=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
SUITE=${1:-$HERE}
DIR=$B/systemd/$SUITE

box_possible
T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
BOX_RUN=$T/box
trap 'box_stop; service_cleanup' EXIT
trap 'exit 130' INT TERM

# ---- packages -------------------------------------------------------------

# For another Debian than this one they are built in a root of that one.
build_debs() {
	if [ "$SUITE" = "$HERE" ]; then
		DEBS=$B/deb
		sh dist/deb.sh "$DEBS" >"$T/deb.log" 2>&1 && return 0
	else
		DEBS=$DIR/deb
		box_root "$SUITE" "$DIR/build" $(sh regress/deps.sh -l) \
		    debhelper build-essential
		mkdir -p "$DEBS" "$DIR/build/root/src" "$DIR/build/root/deb"
		bwrap --die-with-parent --unshare-net --bind "$DIR/build/root" / \
		    --proc /proc --dev /dev --tmpfs /tmp --ro-bind . /src \
		    --bind "$DEBS" /deb --chdir /src --clearenv \
		    --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin \
		    --setenv LC_ALL C.UTF-8 sh dist/deb.sh /deb \
		    >"$T/deb.log" 2>&1 && return 0
	fi
	cat "$T/deb.log"
	bad "the packages can be built for $SUITE"
	exit 1
}

build_debs
good "the packages can be built for $SUITE"
lintian --fail-on error,warning,info --tag-display-limit 0 \
    --allow-root "$DEBS"/*.deb >"$T/lintian" 2>&1 && [ ! -s "$T/lintian" ] &&
    good "lintian has nothing to say" || {
	bad "lintian has nothing to say"
	sed 's/^/    /' "$T/lintian"
}

for p in $(sh regress/deps.sh -l | tr ' ' '\n' | grep '^lib.*-dev$' |
    grep -v -e libc6 -e libcmocka -e libclang); do
	grep -q "[ ,]$p[ ,]" debian/control || grep -q "[ ,]$p\$" debian/control ||
	    bad "Build-Depends lacks $p"
done

# What they need is in the root, which has no network afterwards.
needs=$(for d in "$DEBS"/*.deb; do dpkg-deb -f "$d" Depends; done |
    tr , '\n' | sed 's/|.*//; s/([^)]*)//; s/ //g' |
    grep -v '^cloister' | sort -u)
box_root "$SUITE" "$DIR/box" $(echo $needs) systemd systemd-sysv dbus procps \
    iproute2 init-system-helpers
mkdir "$T/debs"
cp "$DEBS"/*.deb "$T/debs"

# The next version: the same programs with another number.
dpkg-deb -R "$DEBS"/cloister-server_*.deb "$T/next-server"
dpkg-deb -R "$DEBS"/cloister_*.deb "$T/next-client"
sed -i 's/^\(Version: .*\)$/\1+next/; s/(= \([^)]*\))/(= \1+next)/' \
    "$T/next-server/DEBIAN/control"
sed -i 's/^\(Version: .*\)$/\1+next/' "$T/next-client/DEBIAN/control"
mkdir "$T/next"
dpkg-deb --root-owner-group -Zgzip -b "$T/next-server" "$T/next" >/dev/null
dpkg-deb --root-owner-group -Zgzip -b "$T/next-client" "$T/next" >/dev/null

# The build before: what 0.1 had in the server's package the client's has now.
if [ -z "${PREVIOUS:-}" ]; then
	dpkg-deb -R "$DEBS"/cloister-server_*.deb "$T/old-server"
	dpkg-deb -R "$DEBS"/cloister_*.deb "$T/old-client"
	mv "$T/old-client/usr/libexec/cloister/certd" \
	    "$T/old-server/usr/libexec/cloister"
	rm -r "$T/old-client/usr/share/man/man8"
	for _p in server client; do
		sed -i 's/^Version: .*/Version: 0.1/; s/(= [^)]*)/(= 0.1)/
		    /^Breaks: /d; /^Replaces: /d' "$T/old-$_p/DEBIAN/control"
		mkdir -p "$T/previous"
		dpkg-deb --root-owner-group -Zgzip -b "$T/old-$_p" \
		    "$T/previous" >/dev/null
	done
else
	mkdir "$T/previous"
	cp "$PREVIOUS"/*.deb "$T/previous"
fi

# Each file where it belongs: a client alone has all that it runs.
contents() {	# package
	dpkg-deb -c "$DEBS"/"$1"_*.deb
}
for _f in bin/cloister libexec/cloister/keyd libexec/cloister/certd \
    share/man/man1/cloister.1.gz share/man/man8/keyd.8.gz \
    share/man/man8/certd.8.gz; do
	expect "the client's package has $_f" 0 "/usr/$_f" contents cloister
done
for _f in $(ls docs/man/*.8 | sed 's,.*/,share/man/man8/,; s/$/.gz/' |
    grep -v -e keyd.8 -e certd.8) sbin/cloisterctl sbin/cloisterd \
    libexec/cloister/storaged share/man/man5/cloisterd.conf.5.gz; do
	expect "the server's package has $_f" 0 "/usr/$_f" \
	    contents cloister-server
done

# ---- the box, and what is asked of it -------------------------------------

box_boot "$DIR/box/root"
VERSION=$(box systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')
good "a Debian $SUITE with systemd $VERSION is up"

put() {		# file in the box, from standard input
	box sh -c 'mkdir -p "${1%/*}" && cat >"$1"' put "$1"
}

install_debs() {	# directory
	for d in "$1"/*.deb; do
		put "/root/debs/${d##*/}" <"$d"
	done
	box sh -c 'dpkg -i /root/debs/*.deb && rm -r /root/debs' \
	    </dev/null 2>&1
}

active() {
	[ "$(box systemctl is-active cloisterd.service)" = active ]
}

inactive() {
	! box systemctl --quiet is-active "$1"
}

bctl() {
	box cloisterctl "$@"
}

roles() {	# names of those that are restarted (1) or not (0)
	sed -n "s/^ROLE(.*\"\(.*\)\", $1, .)/\1/p" common/roles.def
}

role() {	# name
	bctl status | awk -v r="$1" '$1 == r || index($1, r "[") == 1 {
	    print $3; exit }'
}

# As alice, who is outside.
alice() {
	outside env CLOISTER_HOME="$T/alice" CLOISTER_LIBEXEC="$B" \
	    "$B/cloister" "$@"
}

served() {	# a question is answered
	alice ask -m echo "$1" </dev/null 2>&1 | grep -qF "$1"
}

journal() {
	box journalctl --no-pager -u cloisterd.service "$@"
}

net_of() {	# pid in the box
	box readlink "/proc/$1/ns/net"
}

# ---- first installation ---------------------------------------------------

expect "a first installation" 0 "host key fingerprint" \
    install_debs "$T/previous"
grep -q "there is no provider" "$T/expect.out" &&
    good "it says what is missing" || bad "it says what is missing"
grep -q "not started" "$T/expect.out" &&
    good "and that it did not start" || bad "and that it did not start"
FINGERPRINT=$(sed -n 's/^host key fingerprint: //p' "$T/expect.out")
expect "nothing runs" 0 "" inactive cloisterd.service
expect "nothing listens" 0 "" inactive cloisterd.socket
expect "keys and database are there" 0 "" box test -s \
    /var/lib/cloister/keys/host.key -a -d /var/lib/cloister/db
expect "the configuration is the administrator's alone to change" 0 \
    "644 root" box stat -c "%a %U" /etc/cloister/cloisterd.conf
expect "a wrong configuration is named" 78 "there is no provider" \
    box cloisterd

# ---- configured, started, used --------------------------------------------

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=provider \
    -addext "subjectAltName=IP:$OUTSIDE_ADDR" -keyout "$T/tls.key" \
    -out "$T/tls.pem" 2>/dev/null
API_KEY=sk-of-the-provider
# As outside() does, but so that $! is the program, to be ended with the test.
nsenter -t "$OUTSIDE_PID" -n -- "$B/standin" --address "$OUTSIDE_ADDR" --key "$API_KEY" \
    --tls "$T/tls.pem" "$T/tls.key" >"$T/standin.out" 2>&1 &
PIDS="$PIDS $!"
wait_for grep -q '^listening' "$T/standin.out" || {
	cat "$T/standin.out"
	die "the stand-in does not start"
}
PROVIDER=https://$OUTSIDE_ADDR:$(sed -n 's/^listening //p' "$T/standin.out")/v1
box cat /etc/cloister/cloisterd.conf >"$T/as-shipped.conf"

configure() {	# more of the configuration from standard input
	{
		cat "$T/as-shipped.conf"
		echo "shaping = off"
		echo "provider outside {"
		echo "	url = \"$PROVIDER\""
		echo "	key_file = \"credential:provider.key\""
		echo "	ca_file = \"/etc/cloister/ca.pem\""
		echo "}"
		for m in echo slow; do
			echo "model $m { provider = outside upstream = $m }"
		done
		cat
	} >"$T/new.conf"
	put /etc/cloister/cloisterd.conf <"$T/new.conf"
}

configure </dev/null
put /etc/cloister/ca.pem <"$T/tls.pem"
echo "$API_KEY" | put /etc/cloister/provider.key
box chmod 600 /etc/cloister/provider.key
put /etc/systemd/system/cloisterd.service.d/test.conf <<EOF
[Service]
LoadCredential=provider.key:/etc/cloister/provider.key
WatchdogSec=4s
EOF
box systemctl daemon-reload
expect "it starts when it is configured" 0 "" \
    box systemctl enable --now cloisterd
box systemctl --quiet is-active cloisterd.service ||
    box journalctl --no-pager -n 40 -u "cloister*"
expect "and says that it is ready" 0 "each role under its own user" \
    box systemctl show -p StatusText cloisterd
mkdir -m 700 "$T/alice"
CLOISTER_HOME=$T/alice "$B/cloister" keygen -N >/dev/null
(
	umask 077
	echo "server = \"$BOX_ADDR:7464\"" >"$T/alice/config"
	echo "$BOX_ADDR:7464 $FINGERPRINT" >"$T/alice/known_servers"
)
put /root/alice.pub <"$T/alice/id_cloister.pub"
box cloisterctl user add alice >/dev/null
expect "a user is added in the box" 0 "" bctl key add alice /root/alice.pub
expect "a chat from outside, with a provider outside" 0 "hello there" \
    alice ask -m echo "hello there"

# ---- upgraded from the build before ----------------------------------------

alice list >"$T/first.list"
expect "an upgrade from the build before" 0 "restarting" \
    install_debs "$T/debs"
expect "it runs with what there was" 0 "after the first upgrade" \
    alice ask -m echo "after the first upgrade"
alice list >"$T/second.list"
[ -s "$T/first.list" ] && tail -n 1 "$T/second.list" |
    grep -qF "$(tail -n 1 "$T/first.list" | cut -c 1-8)" &&
    good "conversations too" || bad "conversations too"
expect "each file has one package" 0 "" \
    box sh -c '! dpkg -S /usr/libexec/cloister/certd | grep -q server'

# ---- what the unit takes away ---------------------------------------------

MONITOR=$(box systemctl show --value -p MainPID cloisterd)
for r in monitor $(roles 0) $(roles 1); do
	_pid=$MONITOR
	[ $r != connector ] || continue
	[ $r = monitor ] || _pid=$(role $r)
	[ "$(net_of "$_pid")" != "$(net_of 1)" ] || bad "$r has the network"
done
good "nobody of the service has the network"
[ "$(net_of "$(role connector)")" = "$(net_of 1)" ] &&
    good "but the connector" || bad "but the connector"
expect "the monitor's capabilities are what is kept" 0 \
    "00000000000001e0" box grep CapBnd "/proc/$MONITOR/status"
expect "the connector has none" 0 "0000000000000000" \
    box grep CapBnd "/proc/$(role connector)/status"
for u in cloisterd.service cloister-connector@x.service; do
	expect "the exposure of $u is at most 1.5" 0 "" \
	    box systemd-analyze security --offline=true --threshold=15 $u
	sed -n "s/^.*Overall exposure/count $u: exposure/p" "$T/expect.out"
done

# ---- reload ---------------------------------------------------------------

echo "model later { provider = outside upstream = echo }" | configure
expect "a reload by systemctl" 0 "" box systemctl reload cloisterd
expect "it is active afterwards" 0 "" active
is_later() {
	alice models | grep -q later
}
wait_for is_later && good "the new model is there" ||
    bad "the new model is there"
echo "model wrong { provider = nobody upstream = x }" | configure
expect "a wrong configuration is a failed reload" 1 "" \
    box systemctl reload cloisterd
expect "and the service goes on" 0 "" active
configure </dev/null
box systemctl reload cloisterd

# ---- failures -------------------------------------------------------------

for r in $(roles 1); do
	box kill -9 "$(role $r)"
	wait_for served "after the end of $r" &&
	    good "$r is back, the service never stopped" ||
	    bad "$r is back, the service never stopped"
done
[ "$(box systemctl show --value -p MainPID cloisterd)" = "$MONITOR" ] &&
    good "the monitor is the same" || bad "the monitor is the same"
for r in $(roles 0) monitor; do
	_pid=$(box systemctl show --value -p MainPID cloisterd)
	[ $r = monitor ] || _pid=$(role $r)
	box kill -9 "$_pid"
	wait_for served "after the end of $r" &&
	    good "systemd starts everything again after $r's end" ||
	    bad "systemd starts everything again after $r's end"
done
box systemctl reset-failed cloisterd
box kill -STOP "$(role llmproxy)"
wait_for served "after a hanging llmproxy" && good "a role that hangs is killed" ||
    bad "a role that hangs is killed"
journal | grep -q "cloisterd.service: Watchdog timeout" &&
    bad "and the service goes on" || good "and the service goes on"
box kill -STOP "$(role keyd)"
wait_for served "after a hanging keyd" &&
    good "the watchdog sees a hanging keyd" ||
    bad "the watchdog sees a hanging keyd"
journal | grep -q "cloisterd.service: Watchdog timeout" &&
    good "and says so in the journal" || bad "and says so in the journal"

# ---- upgrade --------------------------------------------------------------

alice list >"$T/before.list"
mkfifo "$T/idle.in"
alice chat <"$T/idle.in" >"$T/idle.out" 2>&1 &
IDLE=$!
exec 3>"$T/idle.in"
has_session() {
	bctl session list | grep -q alice
}
wait_for has_session
expect "an upgrade" 0 "restarting" install_debs "$T/next"
expect "it runs again" 0 "" active
wait_for grep -q "the server is stopping" "$T/idle.out" &&
    good "and who was connected was told" ||
    bad "and who was connected was told: $(cat "$T/idle.out")"
echo "are you back?" >&3
exec 3>&-
_st=0
wait "$IDLE" || _st=$?
[ $_st = 0 ] && grep -q "are you back?" "$T/idle.out" &&
    good "and goes on in a new session" ||
    bad "and goes on in a new session: $_st $(cat "$T/idle.out")"
alice list >"$T/after.list"
[ -s "$T/before.list" ] && ! grep -vxFf "$T/after.list" "$T/before.list" &&
    good "with all conversations" || bad "with all conversations"
expect "the same host key" 0 "and now" alice ask -m echo "and now"

# ---- the journal ----------------------------------------------------------

expect "roles' messages are in the journal with their priority" 0 \
    "ready" box journalctl --no-pager -u cloisterd -p notice..notice
fields() {
	journal -o json CLOISTER_ROLE=storaged >"$T/journal.json" &&
	    jq -r '[.CLOISTER_ROLE, .SYSLOG_IDENTIFIER, .PRIORITY,
	    (.CLOISTER_PID | tonumber > 1), .CLOISTER_USER // "-",
	    (.CLOISTER_SESSION // "0" | tonumber > 0)] | join(" ")' \
	    "$T/journal.json" | sort -u
}
expect "with the role as a field" 0 "storaged cloisterd" fields
[ -s "$T/journal.json" ] && [ "$(jq -r .CLOISTER_ROLE "$T/journal.json" |
    sort -u)" = storaged ] && good "and no other's" || bad "and no other's"
expect "an audit log that verifies" 0 "" bctl audit verify
sed 's/^/    /' "$T/expect.out" | head -n 5
expect "with every start of the service" 0 '"event":"start"' \
    bctl --json audit show --event start
expect "metrics for the node exporter" 0 "" \
    bctl metrics --textfile /root/cloister.prom
expect "are in the file" 0 "cloister_up 1" box cat /root/cloister.prom
expect_not "no key is in the journal" "$API_KEY" box journalctl --no-pager

# ---- stop, removal, purge -------------------------------------------------

expect "it stops" 0 "" box systemctl stop cloisterd.socket cloisterd
expect "in order" 0 "Result=success" box systemctl show -p Result cloisterd
box systemctl start cloisterd.socket
wait_for served "by a connection" && good "a connection starts it again" ||
    bad "a connection starts it again"
expect "removal" 0 "stay in /var/lib/cloister" box dpkg -r cloister-server
expect "nothing runs any more" 0 "" inactive cloisterd.service
expect "keys and conversations are kept" 0 "" box test -s \
    /var/lib/cloister/keys/host.key -a -d /var/lib/cloister/db
expect "installed again it starts" 0 "" install_debs "$T/next"
wait_for served "after removal" && good "and serves the old data" ||
    bad "and serves the old data"
[ "$(alice list | wc -l)" -gt "$(wc -l <"$T/before.list")" ] &&
    good "with the old conversations" || bad "with the old conversations"
expect "a purge says what it removes" 0 \
    "removing /var/lib/cloister: keys, conversations and the audit log" \
    box dpkg -P cloister-server
expect "and it is gone" 1 "" box test -e /var/lib/cloister
expect "files of the administrator stay" 0 "" \
    box test -e /etc/cloister/provider.key
