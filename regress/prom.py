#!/usr/bin/env python3
"""Parse the text format of Prometheus (0.0.4) on standard input, strictly.

What is wrong is said, with exit code 1.  Else each sample is printed as
NAME{LABEL="VALUE"} NUMBER, the label's value as it is.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(
    r'(%s)(?:\{([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"\})? '
    r"([0-9]+)" % NAME)


def bad(n, why):
    print("line %d: %s" % (n, why), file=sys.stderr)
    sys.exit(1)


def main():
    text = sys.stdin.buffer.read().decode("ascii")
    if not text.endswith("\n"):
        bad(0, "no newline at the end")
    helped, typed, seen, current = set(), {}, set(), None
    for n, line in enumerate(text.split("\n")[:-1], 1):
        if m := re.fullmatch(r"# HELP (%s) (\S.*)" % NAME, line):
            if m[1] in helped:
                bad(n, "a second HELP")
            helped.add(m[1])
            current = m[1]
        elif m := re.fullmatch(r"# TYPE (%s) (counter|gauge)" % NAME, line):
            if m[1] != current or m[1] in typed:
                bad(n, "a TYPE that is not where it belongs")
            if (m[2] == "counter") != m[1].endswith("_total"):
                bad(n, "a counter's name ends in _total, no other does")
            typed[m[1]] = m[2]
        elif m := SAMPLE.fullmatch(line):
            if m[1] != current or m[1] not in typed:
                bad(n, "a sample that is not with its metric")
            if (m[1], m[2], m[3]) in seen:
                bad(n, "a sample twice")
            seen.add((m[1], m[2], m[3]))
            label = ""
            if m[2]:
                label = '{%s="%s"}' % (m[2], m[3])
            print("%s%s %s" % (m[1], label, m[4]))
        else:
            bad(n, "is none of what may stand there: %r" % line)
    if not seen or set(typed) != {s[0] for s in seen}:
        bad(0, "metrics without samples")


main()
