#!/bin/sh
# make check-debian13: a throw-away Debian 13, the committed tree in it, and
# there `make check`.
#
#   debian13.sh DIRECTORY
#
# DIRECTORY/root is made once and kept; it is made anew when the list of packages
# has changed.  It has loopback and no other network.
#
#   REV      what to check (HEAD)
#   MIRROR   where the packages come from (what mmdebstrap takes)
#   TARGETS  what to make there (check)
set -eu
cd "$(dirname "$0")/.."
DIR=$1
PKGS=$(sh regress/deps.sh -l)

for p in mmdebstrap bwrap; do
	command -v $p >/dev/null || {
		echo "$p is missing: apt-get install mmdebstrap bubblewrap" >&2
		exit 1
	}
done
mkdir -p "$DIR"
DIR=$(cd "$DIR" && pwd)

if [ "$(cat "$DIR/packages" 2>/dev/null)" != "$PKGS" ]; then
	echo "making a Debian 13 in $DIR/root"
	rm -rf "$DIR/root" "$DIR/packages"
	# A name of loopback is looked up by the tests; the base has none.
	mmdebstrap --quiet --variant=minbase \
	    --include="$(echo $PKGS | tr ' ' ,)" \
	    --customize-hook='mkdir "$1/src"' \
	    --customize-hook='echo "127.0.0.1 localhost" >"$1/etc/hosts"' \
	    trixie "$DIR/root" ${MIRROR:+"$MIRROR"}
	echo "$PKGS" >"$DIR/packages"
fi

rm -rf "$DIR/src"
mkdir "$DIR/src"
git archive "${REV:-HEAD}" | tar -x -C "$DIR/src"
bwrap --die-with-parent --unshare-net --unshare-pid \
    --bind "$DIR/root" / --proc /proc --dev /dev --tmpfs /tmp \
    --bind "$DIR/src" /src --chdir /src --clearenv \
    --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin --setenv LC_ALL C.UTF-8 \
    --setenv NO_BOX 1 \
    make -s ${TARGETS:-check}
