#!/bin/sh
# The builds of this Debian and of a Debian 13 with each other, over loopback:
# t_suite.sh with both.
#
#   cross13.sh DIRECTORY	as debian13.sh makes it; the committed tree is built
#				there, and the work tree here
set -eu
cd "$(dirname "$0")/.."
TARGETS="all helpers" sh regress/debian13.sh "$1"
DIR=$(cd "$1" && pwd)
mkdir -p "$DIR/tmp"
make -s ${B:+B="$B"} all helpers
TMPDIR=$DIR/tmp
OTHER="bwrap --die-with-parent --bind $DIR/root / --proc /proc --dev /dev
    --tmpfs /tmp --bind $DIR/tmp $DIR/tmp --bind $DIR/src /src --chdir /src
    --clearenv --setenv PATH /usr/sbin:/usr/bin:/sbin:/bin
    --setenv LC_ALL C.UTF-8 --setenv TMPDIR $DIR/tmp --setenv B /src/build"
export TMPDIR OTHER
exec sh regress/t_suite.sh
