#!/bin/sh
# make deb: the Debian packages of this tree, as it is, in DIRECTORY.
#
#   deb.sh DIRECTORY
#
# DIRECTORY/src keeps its objects, so that a second time is quick.  VERSION, if
# set, is the packages' instead of debian/changelog's.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1/src"
OUT=$(cd "$1" && pwd)

# What belongs to the tree: what git knows, or everything but what was built.
files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard
	else
		find . -name build -prune -o -type f -print
	fi
}

# Old sources go, their objects stay: a file's time tells make what is new.
for f in "$OUT"/src/*; do
	[ "${f##*/}" = build ] || rm -rf "$f"
done
rm -f "$OUT"/*.deb "$OUT"/*.buildinfo "$OUT"/*.changes
files | while IFS= read -r f; do
	[ ! -f "$f" ] || printf '%s\n' "$f"
done | tar -c -T - | tar -x -C "$OUT/src"

cd "$OUT/src"
if [ -n "${VERSION:-}" ]; then
	sed -i "1s/([^)]*)/($VERSION)/" debian/changelog
fi
DEB_BUILD_OPTIONS="parallel=$(nproc) noautodbgsym" \
    dpkg-buildpackage -b -us -uc -nc >"$OUT/log" 2>&1 || {
	tail -n 40 "$OUT/log" >&2
	echo "deb.sh: the packages could not be built; see $OUT/log" >&2
	exit 1
}
ls "$OUT"/*.deb
