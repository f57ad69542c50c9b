#!/bin/sh
# The builds of this Debian and of a Debian 13 with each other, over loopback:
# t_suite.sh here with the other build there and, for root, the reverse.
#
#   cross13.sh DIRECTORY	as debian13.sh makes it; the committed tree is
#				built there, the work tree here
set -eu
cd "$(dirname "$0")/.."
TARGETS="all helpers" sh regress/debian13.sh "$1"
DIR=$(cd "$1" && pwd)
: "${B:=build}"
make -s B="$B" all helpers
B=$(cd "$B" && pwd)
# The same path at both ends.
SHARED=$(mktemp -d /tmp/cloister-cross.XXXXXX)
trap 'rm -rf "$SHARED"' EXIT
chmod 711 "$SHARED"
# No path may have blanks: OTHER is split into words.
IN13="bwrap --die-with-parent --bind $DIR/root / --proc /proc --dev /dev
    --tmpfs /tmp --bind $SHARED $SHARED --bind $DIR/src /src --chdir /src
    --clearenv --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin
    --setenv LC_ALL C.UTF-8 --setenv TMPDIR $SHARED --setenv B /src/build"

TMPDIR=$SHARED B=$B OTHER=$IN13 sh regress/t_suite.sh
[ "$(id -u)" != 0 ] || $IN13 --dir /tmp/here --dev-bind / /tmp/here \
    --setenv OTHER "chroot /tmp/here env -C $PWD B=$B TMPDIR=$SHARED" \
    sh regress/t_suite.sh
