# Shell functions for a box: a Debian root with a real systemd as PID 1 of its
# own namespaces (systemd-nspawn), thrown away afterwards, and a network of one
# cable to "outside", where clients and providers are.  Needs root.
#
#   . regress/box.sh
#   box_root SUITE DIR PACKAGE...	make DIR/root, unless it is there
#   box_boot DIR/root; box COMMAND...; outside COMMAND...; box_stop
#
# BOX_RUN is where the state of a booted box is.

BOX_ADDR=192.0.2.2 OUTSIDE_ADDR=192.0.2.1	# RFC 5737

# What cannot be done here is a failure, with its reason.
box_die() {
	echo "FAIL the box: $*"
	[ ! -s "${BOX_RUN:-/nonexistent}/console" ] ||
	    tail -n 20 "$BOX_RUN/console" | sed 's/^/    /'
	exit 1
}

box_possible() {
	[ "$(id -u)" = 0 ] || box_die "systemd-nspawn needs root"
	for _c in mmdebstrap systemd-nspawn nsenter ip; do
		command -v $_c >/dev/null || box_die "$_c is missing"
	done
}

# MIRROR says where packages come from, as mmdebstrap takes it.
box_root() {
	_suite=$1 _dir=$2
	shift 2
	_want="$_suite $*"
	[ "$(cat "$_dir/made" 2>/dev/null)" != "$_want" ] || return 0
	rm -rf "$_dir/root" "$_dir/made"
	mkdir -p "$_dir"
	mmdebstrap --quiet --variant=minbase \
	    --include="$(echo "$*" | tr ' ' ,)" \
	    --customize-hook='echo box >"$1/etc/hostname"' \
	    --customize-hook='echo "127.0.0.1 localhost box" >"$1/etc/hosts"' \
	    --customize-hook=': >"$1/etc/machine-id"' \
	    "$_suite" "$_dir/root" ${MIRROR:+"$MIRROR"} >"$_dir/log" 2>&1 || {
		tail -n 20 "$_dir/log"
		box_die "no Debian $_suite could be made"
	}
	echo "$_want" >"$_dir/made"
}

_box_env() {
	_pid=$1
	shift
	nsenter -t "$_pid" -a -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	    HOME=/root TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
	    SYSTEMD_PAGER= SYSTEMD_COLORS=0 "$@"
}

# Run a command in the box.
box() {
	_box_env "$BOX_PID" "$@"
}

# Run a program of this machine in the network at the other end of the cable.
outside() {
	nsenter -t "$OUTSIDE_PID" -n -- "$@"
}

_box_up() {
	BOX_PID=$(pgrep -P "$BOX_NSPAWN") || return 1
	case $(box systemctl is-system-running 2>/dev/null) in
	running | degraded) ;;
	*) return 1 ;;
	esac
}

box_boot() {
	BOX_NAME=cloister$$
	mkdir -p "$BOX_RUN"
	# In a cgroup of its own, so that boxes on one machine do not meet.
	NAME=$BOX_NAME SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 sh -c '
		for c in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
			[ ! -d $c ] || { mkdir -p $c/$NAME &&
			    echo $$ >$c/$NAME/cgroup.procs; }
		done
		exec setsid systemd-nspawn "$@"' nspawn -q \
	    -D "$1" -M "$BOX_NAME" --volatile=overlay --register=no \
	    --keep-unit --boot --private-network --console=pipe \
	    --capability=CAP_IPC_LOCK,CAP_BPF,CAP_PERFMON \
	    --system-call-filter='@memlock @keyring @pkey bpf memfd_secret openat2 landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
	    </dev/null >"$BOX_RUN/console" 2>&1 &
	BOX_NSPAWN=$!
	_n=0
	until _box_up; do
		kill -0 "$BOX_NSPAWN" 2>/dev/null ||
		    box_die "systemd-nspawn does not work here"
		_n=$((_n + 1))
		[ $_n -le 300 ] || box_die "its systemd does not come up"
		sleep 0.1
	done
	unshare -n sleep 100000 &
	OUTSIDE_PID=$!
	_n=0
	until [ "$(readlink "/proc/$OUTSIDE_PID/ns/net")" != \
	    "$(readlink /proc/self/ns/net)" ]; do
		_n=$((_n + 1))
		[ $_n -le 100 ] || box_die "no network of its own"
		sleep 0.1
	done
	outside ip link set lo up &&
	    outside ip link add box0 type veth peer name box0 netns "$BOX_PID" &&
	    outside ip addr add "$OUTSIDE_ADDR/30" dev box0 &&
	    outside ip link set box0 up &&
	    box ip addr add "$BOX_ADDR/30" dev box0 &&
	    box ip link set box0 up || box_die "no cable to it"
}

box_stop() {
	[ -n "${BOX_NSPAWN:-}" ] || return 0
	[ -z "${BOX_PID:-}" ] || box systemctl poweroff >/dev/null 2>&1 || true
	_n=0
	while kill -0 "$BOX_NSPAWN" 2>/dev/null && [ $_n -lt 200 ]; do
		_n=$((_n + 1))
		sleep 0.1
	done
	kill -KILL "$BOX_NSPAWN" 2>/dev/null || true
	[ -z "${OUTSIDE_PID:-}" ] || kill "$OUTSIDE_PID" 2>/dev/null || true
	wait "$BOX_NSPAWN" 2>/dev/null || true
	for _c in /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
		[ ! -d "$_c/$BOX_NAME" ] ||
		    find "$_c/$BOX_NAME" -depth -type d -exec rmdir {} +
	done
	rmdir "/run/systemd/nspawn/propagate/$BOX_NAME" 2>/dev/null || true
	BOX_NSPAWN='' BOX_PID=''
}
