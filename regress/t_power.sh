#!/bin/sh
# The engine's files after a power loss and after kill -9: nothing acknowledged is
# lost, or the store is refused and the documented repair has all of it.  On a
# disk that lies about its syncs the same harness sees loss.
set -eu
cd "$(dirname "$0")/.."
. regress/lib.sh
. regress/expect.sh

T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
trap 'rm -rf "$T"' EXIT
: "${SEED:=$(date +%s)}"

# run NAME MODE NUMBER: the harness in a directory of its own.
run() {
	mkdir "$T/$2"
	if "$B/powerloss" "$2" "$T/$2" "$3" "$SEED" >"$T/$2.out" 2>"$T/$2.err"
	then
		good "$1"
	else
		bad "$1 (SEED=$SEED)"
		tail -n 20 "$T/$2.out" "$T/$2.err" | sed 's/^/    /'
	fi
	grep '^count' "$T/$2.out" || true
	rm -rf "${T:?}/$2"
}

IMAGES=100 KILLS=20
[ -z "${LONG:-}" ] || IMAGES=1000 KILLS=200
run "power loss: nothing acknowledged is lost" images $IMAGES
run "a disk that lies is seen to lose" lying 20
run "kill -9 of the engine's code: nothing acknowledged is lost" kill $KILLS
