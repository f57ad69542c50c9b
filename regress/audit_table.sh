#!/bin/sh
# Write the table of docs/audit.md anew, from common/events.def.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
make -s "$B/tests/test_events" B="$B"
{
	sed '/^| event | from |/,$d' docs/audit.md
	sed -n '/^| event | from |/,/^|---/p' docs/audit.md
	"$B/tests/test_events" -l
	sed '1,/^| event | from |/d' docs/audit.md | sed '/^|/d'
} >docs/audit.md.new
mv docs/audit.md.new docs/audit.md
