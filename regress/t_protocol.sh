#!/bin/sh
# docs/protocol.md is what the code does: a second implementation, in another
# language and from the document alone, computes the test vectors again; and the
# table of application messages is that of common/messages.def.
set -eu
cd "$(dirname "$0")/.."
. regress/expect.sh
T=$(mktemp -d "${TMPDIR:-/tmp}/cloister.XXXXXX")
trap 'rm -rf "$T"' EXIT

python3 regress/vectors.py || true
python3 regress/apptable.py <common/messages.def >"$T/code"
grep -E '^\| [0-9a-f]{4} \| [cs]_' docs/protocol.md >"$T/doc"
if diff "$T/code" "$T/doc" >"$T/diff"; then
	good "the table of application messages: $(wc -l <"$T/code") rows"
else
	bad "the table of application messages"
	sed 's/^/    /' "$T/diff"
fi
