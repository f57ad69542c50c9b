#!/bin/sh
# make deps: install the Debian packages that building and tests need; does
# nothing when they are all there.
#
#   deps.sh [PACKAGE...]   these, too
#   deps.sh -l             only say which
set -eu
PKGS="gcc make pkg-config libc6-dev libssl-dev libseccomp-dev libdb-dev
libcurl4-openssl-dev libargon2-dev libbsd-dev libjansson-dev libconfuse-dev libedit-dev
libmicrohttpd-dev libcmocka-dev openssl curl ca-certificates python3 procps mandoc expect jq tmux
clang libclang-rt-dev"

if [ "${1:-}" = -l ]; then
	echo $PKGS
	exit 0
fi
missing=
for p in $PKGS "$@"; do
	dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
	    grep -q '^install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
SUDO=
if [ "$(id -u)" != 0 ]; then
	SUDO=sudo
	command -v sudo >/dev/null || {
		echo "these packages are missing, and there is no sudo:$missing" >&2
		exit 1
	}
fi
echo "installing:$missing"
$SUDO apt-get update -qq
$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
