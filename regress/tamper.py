#!/usr/bin/env python3
"""Change a signed export as somebody would who does not have the keys.

    tamper.py CASE GOOD OTHER >BAD	one of the cases
    tamper.py				their names

GOOD and OTHER are exports of two conversations of the same user, both of at
least four messages that go question, answer, question, answer.
"""
import json
import struct
import sys


def text(d, i):
    d["messages"][i]["text"] += "!"


def drop(d, *which):
    d["messages"] = [m for i, m in enumerate(d["messages"]) if i not in which]


def renumber(d):
    for i, m in enumerate(d["messages"]):
        m["number"] = i + 1
    d["signed"]["count"] = len(d["messages"])


def swap(d, a, b):
    m = d["messages"]
    m[a], m[b] = m[b], m[a]


def cut(d, n):
    del d["messages"][-n:]
    d["signed"]["count"] -= n


def take(d, i, other):
    n = d["messages"][i]["number"]
    d["messages"][i] = dict(other["messages"][i], number=n)


def proof(d, i, f):
    raw = bytearray.fromhex(d["messages"][i]["proof"])
    f(raw)
    d["messages"][i]["proof"] = raw.hex()


def flip(raw):
    raw[-1] ^= 1


def complete(raw):
    """Its byte of finish, whatever it was, is 1 (or 2, if it was that)."""
    n = struct.unpack(">H", raw[257:259])[0]
    raw[259 + n] = 2 if raw[259 + n] == 1 else 1


def put(d, i, **members):
    d["messages"][i].update(members)


CASES = {
    "a question edited": lambda d, o: text(d, 2),
    "an answer edited": lambda d, o: text(d, 1),
    "the last answer edited": lambda d, o: text(d, -1),
    "a question dropped": lambda d, o: drop(d, 2),
    "an answer dropped": lambda d, o: drop(d, 1),
    "question and answer dropped": lambda d, o: drop(d, 0, 1),
    "the same, renumbered": lambda d, o: (drop(d, 0, 1), renumber(d)),
    "the end dropped": lambda d, o: drop(d, len(d["messages"]) - 1),
    "the end dropped, and counted": lambda d, o: cut(d, 2),
    "two answers swapped": lambda d, o: swap(d, 1, 3),
    "the same swapped, renumbered": lambda d, o: (swap(d, 1, 3), renumber(d)),
    "two questions swapped, renumbered":
        lambda d, o: (swap(d, 0, 2), renumber(d)),
    "a message twice": lambda d, o: d["messages"].insert(
        2, dict(d["messages"][1])),
    "a question of another conversation": lambda d, o: take(d, 2, o),
    "an answer of another conversation": lambda d, o: take(d, 1, o),
    "the beginning of another": lambda d, o: (take(d, 0, o), take(d, 1, o)),
    "the end of another": lambda d, o: (take(d, 2, o), take(d, 3, o)),
    "the other's signed end": lambda d, o: d.update(signed=o["signed"]),
    "its id exchanged": lambda d, o: d["signed"].update(
        conversation=o["signed"]["conversation"]),
    "no signed end": lambda d, o: d.pop("signed"),
    "a signature flipped": lambda d, o: proof(d, 2, flip),
    "a signature cut": lambda d, o: proof(d, 2, lambda r: r.pop()),
    "a receipt flipped": lambda d, o: proof(d, 1, flip),
    "a receipt cut": lambda d, o: proof(d, 1, lambda r: r.pop()),
    "a receipt taken off": lambda d, o: d["messages"][1].pop("proof"),
    "a receipt said to be complete": lambda d, o: (
        proof(d, 1, complete), put(d, 1, finish=1)),
    "an incomplete answer as complete": lambda d, o: put(d, 1, finish=1),
    "a signature of no hexadecimal": lambda d, o: put(d, 2, proof="0g"),
    "a signature taken off": lambda d, o: d["messages"][2].pop("proof"),
    "two signatures swapped": lambda d, o: (
        d["messages"].__getitem__(0).update(proof=d["messages"][2]["proof"])),
    "a question as an answer": lambda d, o: put(d, 2, role="assistant"),
    "an answer as a question": lambda d, o: put(d, 1, role="user"),
    "another time": lambda d, o: put(d, 1, time_us=1),
    "another model": lambda d, o: put(d, 1, model="better"),
    "another finish": lambda d, o: put(d, 1, finish=2),
    "other tokens": lambda d, o: put(d, 1, completion_tokens=77),
}


def main():
    if len(sys.argv) == 1:
        print("\n".join(CASES))
        return
    case, good, other = sys.argv[1:]
    with open(good) as f, open(other) as g:
        d, o = json.load(f), json.load(g)
    CASES[case](d, o)
    json.dump(d, sys.stdout)


main()
