#!/usr/bin/env python3
"""A second verifier of signed exports, from docs/protocol.md alone.

    verify_export.py FILE SERVER-FINGERPRINT NAME.pub...

Python's standard library, nothing of Cloister's code; RSA-PSS (RFC 8017) is
written out.  Exit status 0: all is as it was signed, and every receipt says
complete; 7: so, but an answer is not complete; 1: it is not.  Prints what is
wrong.
"""
import base64
import hashlib
import json
import struct
import sys

Z = bytes(32)
bad = []


def H(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def v16(x):
    return struct.pack(">H", len(x)) + x


# ---- RSA-PSS, SHA-256, salt of 32 bytes ----------------------------------------

PSS = bytes.fromhex(
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a"
    "06092a864886f70d010108300d06096086480165030402010500a203020120")


class Der:
    def __init__(self, b):
        self.b = b

    def take(self, tag):
        if len(self.b) < 2 or self.b[0] != tag:
            raise ValueError("tag")
        n, at = self.b[1], 2
        if n & 128:
            k = n & 127
            n, at = int.from_bytes(self.b[2:2 + k], "big"), 2 + k
        if len(self.b) < at + n:
            raise ValueError("length")
        out, self.b = self.b[at:at + n], self.b[at + n:]
        return out


def public(spki):
    """Modulus and exponent of a signing key."""
    top = Der(spki)
    inner = top.take(0x30)
    if top.b or not inner.startswith(PSS):
        raise ValueError("not a signing key")
    bits = Der(inner[len(PSS):]).take(0x03)
    key = Der(Der(bits[1:]).take(0x30))
    n = int.from_bytes(key.take(0x02), "big")
    e = int.from_bytes(key.take(0x02), "big")
    if bits[0] != 0 or key.b or e != 65537 or not 3072 <= n.bit_length() <= 4096:
        raise ValueError("not such a key")
    return n, e


def mgf1(seed, n):
    out = b"".join(H(seed, u32(i)) for i in range((n + 31) // 32))
    return out[:n]


def pss(spki, sig, message):
    try:
        n, e = public(spki)
    except ValueError:
        return False
    k = (n.bit_length() + 7) // 8
    if len(sig) != k or int.from_bytes(sig, "big") >= n:
        return False
    bits = n.bit_length() - 1
    m = (bits + 7) // 8
    em = pow(int.from_bytes(sig, "big"), e, n)
    if em >> 8 * m:
        return False
    em = em.to_bytes(m, "big")
    h, db = em[-33:-1], em[:-33]
    top = 0xff >> (8 * m - bits)
    if em[-1] != 0xbc or db[0] & ~top & 0xff:
        return False
    db = bytes(a ^ b for a, b in zip(db, mgf1(h, len(db))))
    db = bytes([db[0] & top]) + db[1:]
    if db[:-33] != bytes(len(db) - 33) or db[-33] != 1:
        return False
    return H(bytes(8), H(message), db[-32:]) == h


def signed(context, *fields):
    return b" " * 64 + context + b"\0\1" + b"".join(fields)


# ---- what a proof has ------------------------------------------------------------

class Reader:
    def __init__(self, b):
        self.b = b

    def __call__(self, n):
        if len(self.b) < n:
            raise ValueError("too short")
        out, self.b = self.b[:n], self.b[n:]
        return out

    def number(self, n):
        return int.from_bytes(self(n), "big")

    def v16(self):
        return self(self.number(2))

    def end(self):
        if self.b:
            raise ValueError("too long")


class User:
    def __init__(self, raw):
        r = Reader(raw)
        if r.number(1) != 1:
            raise ValueError("not a user proof")
        self.session, self.server, self.client = r(32), r(32), r(32)
        self.number, self.time = r.number(8), r.number(8)
        self.previous, self.salt = r(32), r(32)
        self.key, self.sig = r.v16(), r.v16()
        r.end()

    def verify(self, text):
        return pss(self.key, self.sig, signed(
            b"Cloister v1 user message", self.session, self.server,
            self.client, u64(self.number), u64(self.time), self.previous,
            H(self.salt, text)))


class Receipt:
    def __init__(self, raw):
        r = Reader(raw)
        if r.number(1) != 2:
            raise ValueError("not a receipt")
        before = r.b
        self.session, self.server, self.client = r(32), r(32), r(32)
        self.conv, self.number, self.previous = r(16), r.number(8), r(32)
        self.question, self.signature = r.number(8), r(32)
        self.sent, self.response = r(32), r(32)
        self.model, self.finish, self.time = r.v16(), r.number(1), r.number(8)
        fields = before[:len(before) - len(r.b)]
        self.leaf = H(b"\0", r(32), fields)
        self.path = []
        for _ in range(r.number(1)):
            side = r.number(1)
            if side > 1:
                raise ValueError("side")
            self.path.append((side, r(32)))
        if len(self.path) > 6 or not 1 <= self.finish <= 7:
            raise ValueError("receipt")
        self.key, self.sig = r.v16(), r.v16()
        r.end()

    def verify(self):
        h = self.leaf
        for side, other in self.path:
            h = H(b"\1", other, h) if side == 1 else H(b"\1", h, other)
        return H(self.key) == self.server and pss(
            self.key, self.sig, signed(b"Cloister v1 receipt", self.server, h))


# ---- the file ----------------------------------------------------------------------

KIND = {"user": 1, "assistant": 2, "system": 3, "withdrawal": 4}


def fingerprint(text):
    if not text.startswith("SHA256:"):
        raise ValueError("fingerprint")
    return base64.b64decode(text[7:] + "=")


def load_key(path):
    """H(signing SPKI) and H(message SPKI)."""
    found = {}
    with open(path) as f:
        for line in f:
            name, _, value = line.partition(": ")
            if name in ("sign", "message"):
                found[name] = H(base64.b64decode(value))
    return found["sign"], found["message"]


def wrong(what, number=None):
    bad.append(what)
    print("BAD", "" if number is None else "message %d:" % number, what)


def link(before, m, salt, proof):
    return H(b"cl1 link\0", before, u64(m["number"]),
             bytes([KIND[m["role"]], m.get("finish", 0)]),
             u64(m.get("time_us", 0)), u32(m.get("prompt_tokens", 0)),
             u32(m.get("completion_tokens", 0)),
             v16(m.get("model", "").encode()), H(salt, m["text"].encode()),
             H(proof))


class Walk:
    def __init__(self, conv, server, keys):
        self.conv, self.server, self.keys = conv, server, keys
        self.link = self.talk = self.first = H(b"cl1 conversation\0", conv)
        self.number, self.past, self.system = 0, [], b""
        self.withdrawn = False
        self.asked, self.sessions, self.incomplete = {}, {}, 0
        self.signatures = 0

    def known(self, p, number):
        if (p.client, H(p.key)) not in self.keys:
            wrong("another key", number)
        if p.server != self.server:
            wrong("another server", number)

    def question(self, m, raw):
        n, p = m["number"], User(raw)
        self.known(p, n)
        if not p.verify(m["text"].encode()):
            wrong("the text or the signature was changed", n)
        if p.number != n:
            wrong("signed as message %d" % p.number, n)
        if p.previous not in (self.link, self.talk) and not (
                p.previous == Z and self.talk == self.first):
            wrong("what is before it is not what was", n)
        self.signatures += 1
        return p

    def answer(self, m, raw):
        n, r = m["number"], Receipt(raw)
        q = self.asked.get(r.question)
        if r.server != self.server or not r.verify():
            wrong("the receipt does not verify", n)
        if r.conv != self.conv:
            wrong("of another conversation", n)
        if r.response != H(m["text"].encode()):
            wrong("not the text that the receipt is for", n)
        if r.finish != m.get("finish", 0) or r.model != m.get(
                "model", "").encode():
            wrong("another model or end", n)
        if q is None or (H(q[0].sig), q[0].session, q[0].client) != (
                r.signature, r.session, r.client):
            wrong("its question is not here", n)
        elif q[1] != r.sent:
            wrong("the model got other messages", n)
        last = self.sessions.get(r.session)
        if last and (r.number <= last.number or (
                r.number == last.number + 1 and r.previous != last.leaf)):
            wrong("receipts of its session are out of order", n)
        self.sessions[r.session] = r
        self.incomplete += r.finish != 1

    def sent(self, question):
        all = [(3, self.system)] if self.system else []
        all += self.past + [(1, question)]
        return H(*(bytes([k]) + u32(len(t)) + t for k, t in all))

    def stands(self, kind, text, finish):
        if kind == 4:
            self.withdrawn = True
            at = [i for i, (k, _) in enumerate(self.past) if k == 1]
            self.past = self.past[:at[-1]] if at else self.past
        elif kind == 3:
            self.system = text
        elif text and finish != 5 and (kind == 1 or not self.withdrawn):
            self.withdrawn = False
            self.past.append((kind, text))

    def message(self, m):
        kind = KIND[m["role"]]
        raw = bytes.fromhex(m.get("proof", ""))
        text, p = m["text"].encode(), None
        if m["number"] != self.number + 1:
            wrong("stands behind %d" % self.number, m["number"])
        if kind == 1 and raw:
            p = self.question(m, raw)
        elif kind == 2 and raw:
            self.answer(m, raw)
        elif raw:
            wrong("a proof of another kind", m["number"])
        if p:
            self.asked[m["number"]] = p, self.sent(text)
        self.stands(kind, text, m.get("finish", 0))
        self.link = link(self.link, m, p.salt if p else Z, raw)
        if kind != 3:
            self.talk = self.link
        self.number = m["number"]


def verify(d, server, keys):
    e = d["signed"]
    conv = bytes.fromhex(e["conversation"])
    w = Walk(conv, server, keys)
    for m in d["messages"]:
        w.message(m)
    names = ("server", "client", "last", "key", "signature")
    end = {n: bytes.fromhex(e[n]) for n in names}
    if not pss(end["key"], end["signature"], signed(
            b"Cloister v1 export", end["server"], end["client"], conv,
            u64(e["count"]), u64(e["time_us"]), end["last"])):
        wrong("the signed end was changed")
    if (end["client"], H(end["key"])) not in keys or end["server"] != server:
        wrong("exported by another key, or of another server")
    if e["count"] != w.number or end["last"] != w.link:
        wrong("not what was exported")
    if w.signatures == 0:
        wrong("nothing is signed")
    return w


def main():
    path, server, *pubs = sys.argv[1:]
    keys = {load_key(p) for p in pubs}
    try:
        with open(path, encoding="utf-8") as f:
            w = verify(json.load(f), fingerprint(server), keys)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError,
            struct.error) as e:
        wrong("not a signed export: %r" % e)
    if bad:
        sys.exit(1)
    print("ok: %d questions, %d receipts" % (w.signatures, len(w.sessions)))
    sys.exit(7 if w.incomplete else 0)


main()
