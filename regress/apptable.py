#!/usr/bin/env python3
"""Print the table of application messages as docs/protocol.md has it.

    apptable.py <common/messages.def
"""
import re
import sys

SENDER = {"AB": "C to S", "BA": "S to C"}


def field(kind, args):
    name, *size = [a.strip() for a in args.split(",")]
    return {"FIX": "%s[%s]", "BYTES": "%s<%s>", "TEXT": '%s"%s"'}[kind] % (
        name, size[0]) if size else "%s %s" % (kind.lower(), name)


text = re.sub(r"/\*.*?\*/", "", sys.stdin.read(), flags=re.S)
rows = []
for m in re.finditer(r"^MSG\((\w+), 0x(\w+), APP, (\w+),[^)]*\)(.*?)\bEND\b",
                     text, re.S | re.M):
    name, number, way, body = m.groups()
    fields = [field(*f) for f in re.findall(r"(\w+)\(([^)]*)\)", body)]
    rows.append("| %s | %s | %s | %s |" % (number, name, SENDER[way],
                                           ", ".join(fields)))
print("\n".join(sorted(rows)))
