#!/usr/bin/env python3
"""A second implementation, of what tests/vectors has, from docs/protocol.md.

    vectors.py

Python's standard library alone, nothing of Cloister's code: AES-GCM (NIST SP
800-38D), X25519 (RFC 7748), RSA-PSS (RFC 8017) and ML-KEM-768 (FIPS 203) are
written out here, slowly.  It computes again every value that docs/protocol.md
says how to compute, and prints "ok NAME" or "FAIL NAME" for each.
"""
import hashlib
import hmac
import os
import struct
import sys

DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests",
                   "vectors")
failed = False


def check(name, got, want):
    global failed
    if got == want:
        print("ok", name)
    else:
        failed = True
        print("FAIL", name)


def load(name):
    values = {}
    with open(os.path.join(DIR, name)) as f:
        for line in f:
            if line.startswith("#") or " =" not in line:
                continue
            key, value = line.rstrip("\n").split(" =", 1)
            values[key] = bytes.fromhex(value.strip())
    return values


# ---- hashes and keys ---------------------------------------------------------

Z = bytes(32)


def H(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def HMAC(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def extract(salt, ikm):
    return HMAC(salt, ikm)


def xl(secret, label, context=b"", n=32):
    label = b"cl1 " + label
    info = (struct.pack(">H", n) + bytes([len(label)]) + label +
            bytes([len(context)]) + context)
    out, t, i = b"", b"", 0
    while len(out) < n:
        i += 1
        t = HMAC(secret, t, info, bytes([i]))
        out += t
    return out[:n]


def v8(x):
    return bytes([len(x)]) + x


def v16(x):
    return struct.pack(">H", len(x)) + x


# ---- X25519 -------------------------------------------------------------------

P = 2 ** 255 - 19


def x25519(k, u=(9).to_bytes(32, "little")):
    k = bytearray(k)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(u, "little") & (2 ** 255 - 1)
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b = (x2 + z2) % P, (x2 - z2) % P
        c, d = (x3 + z3) % P, (x3 - z3) % P
        da, cb = d * a % P, c * b % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        aa, bb = a * a % P, b * b % P
        e = (aa - bb) % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


# ---- AES-256-GCM ---------------------------------------------------------------

def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = p ^ p << 1 & 255 ^ (27 if p & 128 else 0)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 255
        if q & 128:
            q ^= 9
        x = q
        for i in range(1, 5):
            x ^= (q << i | q >> 8 - i) & 255
        box[p] = x ^ 99
        if p == 1:
            break
    box[0] = 99
    return box


SBOX = _sbox()


def aes_keys(key):
    w = [list(key[i:i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        t = list(w[i - 1])
        if i % 8 == 0:
            t = [SBOX[b] for b in t[1:] + t[:1]]
            t[0] ^= rcon
            rcon <<= 1
        elif i % 8 == 4:
            t = [SBOX[b] for b in t]
        w.append([a ^ b for a, b in zip(w[i - 8], t)])
    return [sum(w[i:i + 4], []) for i in range(0, 60, 4)]


def aes(keys, block):
    s = [a ^ b for a, b in zip(block, keys[0])]
    for r in range(1, 15):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if r < 14:
            t = []
            for c in range(0, 16, 4):
                col = s[c:c + 4]
                every = col[0] ^ col[1] ^ col[2] ^ col[3]
                for i in range(4):
                    x = col[i] ^ col[(i + 1) % 4]
                    x = x << 1 ^ (0x11b if x & 128 else 0)
                    t.append(col[i] ^ every ^ x)
            s = t
        s = [a ^ b for a, b in zip(s, keys[r])]
    return bytes(s)


def ghash(h, data):
    h, y = int.from_bytes(h, "big"), 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], "big")
        z, v = 0, h
        for bit in reversed(range(128)):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def gcm_seal(key, nonce, aad, plain):
    keys = aes_keys(key)
    out = bytearray()
    for i in range(0, len(plain), 16):
        pad = aes(keys, nonce + struct.pack(">I", i // 16 + 2))
        out += bytes(a ^ b for a, b in zip(plain[i:i + 16], pad))
    data = (aad + bytes(-len(aad) % 16) + out + bytes(-len(out) % 16) +
            struct.pack(">QQ", 8 * len(aad), 8 * len(out)))
    s = ghash(aes(keys, bytes(16)), bytes(data))
    pad = aes(keys, nonce + b"\0\0\0\1")
    return bytes(out) + bytes(a ^ b for a, b in zip(s, pad))


def gcm_open(key, nonce, aad, sealed):
    body = sealed[:-16]
    keys = aes_keys(key)
    plain = bytearray()
    for i in range(0, len(body), 16):
        pad = aes(keys, nonce + struct.pack(">I", i // 16 + 2))
        plain += bytes(a ^ b for a, b in zip(body[i:i + 16], pad))
    if gcm_seal(key, nonce, aad, bytes(plain)) != sealed:
        raise ValueError("a record that is not authentic")
    return bytes(plain)


# ---- RSA-PSS, SHA-256, salt 32 -------------------------------------------------

def spki_modulus(spki):
    """The modulus, and the exponent, of an SPKI as "Keys" has it."""
    bits = spki.index(b"\x03\x82", 15)
    der = spki[bits + 5:]
    assert der[:2] == b"\x30\x82" and der[4:6] == b"\x02\x82"
    n = struct.unpack(">H", der[6:8])[0]
    return int.from_bytes(der[8:8 + n], "big"), der[8 + n:]


def mgf1(seed, n):
    out = b""
    for i in range((n + 31) // 32):
        out += H(seed, struct.pack(">I", i))
    return out[:n]


def pss_verify(spki, message, sig):
    modulus, rest = spki_modulus(spki)
    if rest != b"\x02\x03\x01\x00\x01" or len(sig) * 8 != modulus.bit_length():
        return False
    em = pow(int.from_bytes(sig, "big"), 65537, modulus)
    em = em.to_bytes(len(sig), "big")
    masked, h = em[:-33], em[-33:-1]
    db = bytearray(a ^ b for a, b in zip(masked, mgf1(h, len(masked))))
    db[0] &= 0x7f
    return (em[-1] == 0xbc and masked[0] < 0x80 and
            db[:-33] == bytes(len(db) - 33) and db[-33] == 1 and
            H(bytes(8), H(message), bytes(db[-32:])) == h)


# ---- ML-KEM-768 (FIPS 203) ------------------------------------------------------

Q, K = 3329, 3


def _zetas(of):
    return [pow(17, of(int("{:07b}".format(i)[::-1], 2)), Q)
            for i in range(128)]


ZETA, GAMMA = _zetas(lambda r: r), _zetas(lambda r: 2 * r + 1)


def ntt(f):
    f, i, n = list(f), 1, 128
    while n >= 2:
        for start in range(0, 256, 2 * n):
            zeta, i = ZETA[i], i + 1
            for j in range(start, start + n):
                t = zeta * f[j + n] % Q
                f[j + n], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        n //= 2
    return f


def intt(f):
    f, i, n = list(f), 127, 2
    while n <= 128:
        for start in range(0, 256, 2 * n):
            zeta, i = ZETA[i], i - 1
            for j in range(start, start + n):
                t = f[j]
                f[j] = (t + f[j + n]) % Q
                f[j + n] = zeta * (f[j + n] - t) % Q
        n *= 2
    return [x * 3303 % Q for x in f]


def mul(f, g):
    h = []
    for i in range(128):
        a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a * c + b * d * GAMMA[i]) % Q, (a * d + b * c) % Q]
    return h


def add(*fs):
    return [sum(x) % Q for x in zip(*fs)]


def sample_ntt(seed):
    stream, out, i = hashlib.shake_128(seed).digest(3 * 1024), [], 0
    while len(out) < 256:
        a, b, c = stream[i:i + 3]
        i += 3
        for d in (a + 256 * (b % 16), b // 16 + 16 * c):
            if d < Q and len(out) < 256:
                out.append(d)
    return out


def cbd(seed, n):
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([n])).digest(128),
                          "little")
    out = []
    for i in range(256):
        b = bits >> 4 * i
        out.append(((b & 1) + (b >> 1 & 1) - (b >> 2 & 1) - (b >> 3 & 1)) % Q)
    return out


def pack(f, d):
    return sum(x << d * i for i, x in enumerate(f)).to_bytes(32 * d, "little")


def unpack(b, d):
    n = int.from_bytes(b, "little")
    return [n >> d * i & (1 << d) - 1 for i in range(256)]


def compress(f, d):
    return [((x << d + 1) + Q) // (2 * Q) & (1 << d) - 1 for x in f]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)]
            for i in range(K)]


def mlkem_public(d):
    g = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = g[:32], g[32:]
    a = matrix(rho)
    s = [ntt(cbd(sigma, i)) for i in range(K)]
    e = [ntt(cbd(sigma, K + i)) for i in range(K)]
    t = [add(*[mul(a[i][j], s[j]) for j in range(K)], e[i]) for i in range(K)]
    return b"".join(pack(x, 12) for x in t) + rho


def mlkem_encaps(ek, m):
    g = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    secret, r = g[:32], g[32:]
    t = [unpack(ek[384 * i:384 * i + 384], 12) for i in range(K)]
    a = matrix(ek[1152:])
    y = [ntt(cbd(r, i)) for i in range(K)]
    e1 = [cbd(r, K + i) for i in range(K)]
    u = [add(intt(add(*[mul(a[j][i], y[j]) for j in range(K)])), e1[i])
         for i in range(K)]
    mu = [bit * 1665 for bit in unpack(m, 1)]
    v = add(intt(add(*[mul(t[i], y[i]) for i in range(K)])), cbd(r, 2 * K), mu)
    return secret, (b"".join(pack(compress(x, 10), 10) for x in u) +
                    pack(compress(v, 4), 4))


# ---- kdf.txt --------------------------------------------------------------------

def kdf():
    v = load("kdf.txt")
    labels = {name: (name[3:].replace("_", " ").encode(), b"")
              for name in v if name.startswith("xl_")}
    for name in ("c_hs", "s_hs", "wrap", "c_ap", "s_ap", "exporter",
                 "resumption", "msgmac", "long"):
        labels["xl_" + name] = (labels["xl_" + name][0], v["context"])
    labels["xl_long"] = (b"key", v["context"])
    for name, (label, context) in labels.items():
        check("kdf " + name, xl(v["secret"], label, context, len(v[name])),
              v[name])
    mac1 = mac(v["secret"], 1, 1, Z, b"abc")
    check("kdf mac_1", mac1, v["mac_1"])
    check("kdf mac_2", mac(v["secret"], 1, 2, mac1, b""), v["mac_2"])


# ---- handshake_s1.txt, handshake_s2.txt -------------------------------------------

def record_seal(secret, epoch, number, kind, content, pad=0):
    inner = bytes([kind]) + v16(content)
    inner += bytes(max(0, pad - len(inner)))
    header = struct.pack(">BBH", 0x17, epoch, len(inner) + 16)
    iv = xl(secret, b"iv", n=12)
    nonce = bytes(a ^ b for a, b in
                  zip(iv, bytes(4) + struct.pack(">Q", number)))
    return header + gcm_seal(xl(secret, b"key"), nonce, header, inner)


def message(kind, body):
    return bytes([kind]) + struct.pack(">I", len(body))[1:] + body


class Transcript:
    def __init__(self):
        self.all = b"CLOISTER-HS" + b"\0" + b"\0\1"

    def add(self, m):
        self.all += m
        return m

    def th(self):
        return H(self.all)


def handshake(suite):
    name = "handshake_s%d" % suite
    v = load(name + ".txt")

    def same(what, got):
        check(name + " " + what, got, v[what])

    t = Transcript()
    ek, ct, ss = b"", b"", b""
    if suite == 2:
        ek = mlkem_public(v["mlkem_d"])
        ss, ct = mlkem_encaps(ek, v["mlkem_m"])
    server_hash = H(v["server_spki"])
    suites = bytes(range(suite, 0, -1))
    ch = (b"\1" + b"\0\x07\xfc" + b"\0\1" + v8(suites) + v["random_c"] +
          v16(x25519(v["eph_c"])) + v16(ek) + v["ticket_id"] + v["binder"])
    ch += bytes(2032 - len(ch))
    ch += HMAC(H(b"cl1 mac1", server_hash), ch)[:16]
    same("ch", t.add(ch))
    sh = message(2, b"\0\1" + bytes([suite]) + v["random_s"] +
                 v16(x25519(v["eph_s"])) + v16(ct))
    same("sh", t.add(sh))
    th_sh = t.th()
    same("th_sh", th_sh)
    ss += x25519(v["eph_c"], x25519(v["eph_s"]))
    hs = extract(xl(extract(Z, Z), b"derived"), ss)
    c_hs, s_hs = xl(hs, b"c hs", th_sh), xl(hs, b"s hs", th_sh)
    same("c_hs", c_hs)
    same("s_hs", s_hs)

    signed = b" " * 64 + b"Cloister v1 server handshake" + b"\0"
    signed += bytes([suite]) + v["random_s"] + th_sh + server_hash
    signed += H(v["seal"])
    same("tbs_server", signed)
    check(name + " server_sig verifies", True,
          pss_verify(v["server_spki"], signed, v["server_sig"]))
    check(name + " server_sig is for nothing else", False,
          pss_verify(v["server_spki"], signed + b"x", v["server_sig"]))
    sa = t.add(message(3, v16(v["server_spki"]) + b"\0" + v8(v["seal"]) +
                       v16(v["server_sig"])))
    sf = t.add(message(4, HMAC(xl(s_hs, b"finished"), t.th())))
    same("flight_sa", sa + sf)
    same("th_sf", t.th())

    signed = b" " * 64 + b"Cloister v1 client handshake" + b"\0"
    signed += bytes([suite]) + v["random_c"] + v["random_s"] + t.th()
    signed += H(v["client_spki"]) + H(v["wrap_spki"]) + server_hash + H(b"")
    same("tbs_client", signed)
    check(name + " client_sig verifies", True,
          pss_verify(v["client_spki"], signed, v["client_sig"]))
    ca = t.add(message(5, v16(v["client_spki"]) + v16(v["wrap_spki"]) +
                       v16(b"") + v16(v["client_sig"])))
    cf = t.add(message(6, HMAC(xl(c_hs, b"finished"), t.th())))
    same("flight_ca", ca + cf)
    th_cf = t.th()
    same("th_cf", th_cf)
    same("wrap_label", H(b"cl1 wrap", v["random_c"], v["random_s"], th_cf))
    wd = xl(v["w"], b"wrap", th_cf)
    same("wd", wd)
    ms = extract(xl(hs, b"derived"), wd)
    kw = t.add(message(7, v16(v["kw_ct"])))
    sf2 = t.add(message(8, HMAC(xl(ms, b"s fin2"), t.th())))
    same("flight_kw", kw + sf2)
    th_sf2 = t.th()
    cc = message(9, HMAC(xl(ms, b"c fin2"), th_sf2))
    same("flight_cc", cc)
    same("record_sa", record_seal(s_hs, 0, 0, 22, sa + sf))
    same("record_ca", record_seal(c_hs, 0, 0, 22, ca + cf, 3840))
    same("record_kw", record_seal(s_hs, 0, 1, 22, kw + sf2))
    same("record_cc", record_seal(c_hs, 0, 1, 22, cc))
    for what in ("c_ap", "s_ap", "exporter", "resumption", "msgmac"):
        same(what, xl(ms, what.replace("_", " ").encode(), th_sf2))
    same("session_id", H(b"cl1 sid", th_sf2))


# ---- resume_s1.txt ------------------------------------------------------------------

def resume():
    v = load("resume_s1.txt")

    def same(what, got):
        check("resume_s1 " + what, got, v[what])

    t = Transcript()
    psk = xl(v["before_resumption"], b"ticket", v["ticket_id"])
    same("psk", psk)
    es = extract(Z, psk)
    ch = (b"\1" + b"\0\x07\xfc" + b"\0\1" + v8(b"\1") + v["random_c"] +
          v16(x25519(v["eph_c"])) + v16(b"") + v["ticket_id"])
    unbound = ch + bytes(2048 - len(ch))
    ch += HMAC(xl(es, b"binder"), unbound)
    ch += bytes(2032 - len(ch))
    ch += HMAC(H(b"cl1 mac1", v["server_hash"]), ch)[:16]
    same("ch", t.add(ch))
    same("sh", t.add(message(2, b"\0\1\1" + v["random_s"] +
                             v16(x25519(v["eph_s"])) + v16(b""))))
    th_sh = t.th()
    same("th_sh", th_sh)
    hs = extract(xl(es, b"derived"), x25519(v["eph_c"], x25519(v["eph_s"])))
    c_hs, s_hs = xl(hs, b"c hs", th_sh), xl(hs, b"s hs", th_sh)
    same("c_hs", c_hs)
    same("s_hs", s_hs)
    sf = t.add(message(4, HMAC(xl(s_hs, b"finished"), t.th())))
    same("flight_sf", sf)
    cf = t.add(message(6, HMAC(xl(c_hs, b"finished"), t.th())))
    same("flight_cf", cf)
    th_cf = t.th()
    same("th_cf", th_cf)
    same("record_sf", record_seal(s_hs, 0, 0, 22, sf))
    same("record_cf", record_seal(c_hs, 0, 0, 22, cf))
    ms = extract(xl(hs, b"derived"), Z)
    for what in ("c_ap", "s_ap", "exporter", "resumption", "msgmac"):
        same(what, xl(ms, what.replace("_", " ").encode(), th_cf))
    same("session_id", H(b"cl1 sid", th_cf))


# ---- session.txt ------------------------------------------------------------------

def mac(key, direction, i, last, body):
    return HMAC(key, bytes([direction]), struct.pack(">Q", i), last, H(body))


class Sender:
    """One direction of a session."""

    def __init__(self, secret, msgmac, direction):
        self.secret, self.epoch, self.number = secret, 1, 0
        self.msgmac, self.direction = msgmac, direction
        self.i, self.last = 0, Z

    def record(self, kind, content=b"", pad=0):
        r = record_seal(self.secret, self.epoch, self.number, kind, content,
                        pad)
        self.number += 1
        return r

    def rekey(self):
        r = self.record(25)
        self.secret = xl(self.secret, b"upd")
        self.epoch, self.number = self.epoch + 1, 0
        return r

    def fresh(self, ss, th):
        r = self.record(28)
        self.secret = xl(extract(self.secret, ss), b"fresh", th)
        self.epoch, self.number = self.epoch + 1, 0
        return r

    def body(self, number, fields):
        body = struct.pack(">H", number) + fields
        self.i += 1
        self.last = mac(self.msgmac, self.direction, self.i, self.last, body)
        return body + self.last

    def send(self, number, fields, padded=False):
        rest, out = self.body(number, fields), b""
        while len(rest) > 16000:
            out += self.record(24, rest[:16000])
            rest = rest[16000:]
        pad = 0
        if padded:
            pad = 16364
            if out == b"":
                pad = next(n for n in (512, 1024, 2048, 4096, 8192, 16364)
                           if n >= len(rest) + 3)
        return out + self.record(23, rest, pad)

    def stream(self, number, fields):
        m = self.body(number, fields)
        return struct.pack(">I", len(m)) + m

    def close(self):
        return self.record(20, struct.pack(">Q", self.i) + self.last)


def text(s):
    return struct.pack(">I", len(s)) + s


def prompt(req, words):
    return (struct.pack(">I", req) + bytes(16) + b"\1" + text(b"echo") +
            text(words))


def delta(words):
    return struct.pack(">IB", 8, 0) + text(words)


def session():
    v = load("session.txt")
    c = Sender(v["c_ap"], v["msgmac"], 0)
    s = Sender(v["s_ap"], v["msgmac"], 1)

    def same(what, got):
        check("session " + what, got, v[what])

    same("c_ping", c.send(0x8006, struct.pack(">I", 7)))
    same("c_prompt", c.send(0x8001, prompt(8, b"hello"), True))
    same("c_prompt_long", c.send(0x8001, prompt(9, b"a" * 20000), True))
    same("c_ping_rekeyed",
         c.rekey() + c.send(0x8006, struct.pack(">I", 10)))
    same("c_ping_rekeyed_again",
         c.rekey() + c.send(0x8006, struct.pack(">I", 11)))
    same("c_close", c.close())
    same("s_pong", s.send(0x810a, struct.pack(">I", 7)))
    same("s_dummy", s.record(26, b"", 1004))
    same("s_deltas", s.record(27, s.stream(0x8103, delta(b"hel")) +
                              s.stream(0x8103, delta(b"lo")), 1004))
    same("s_end", s.record(27, s.stream(
        0x8104, struct.pack(">IBII", 8, 1, 1, 2) + bytes(16) +
        struct.pack(">QQ", 0, 0) + text(b"echo"))))
    same("s_close", s.close())


# ---- fresh_s1.txt, fresh_s2.txt ---------------------------------------------------

def fresh(suite):
    name = "fresh_s%d" % suite
    v = load(name + ".txt")
    c = Sender(v["c_ap"], v["msgmac"], 0)
    s = Sender(v["s_ap"], v["msgmac"], 1)

    def same(what, got):
        check(name + " " + what, got, v[what])

    ek, ct, ss = b"", b"", b""
    if suite == 2:
        ek = mlkem_public(v["mlkem_d"])
        ss, ct = mlkem_encaps(ek, v["mlkem_m"])
    offer, answer = x25519(v["eph_s"]), x25519(v["eph_c"])
    ss += x25519(v["eph_c"], offer)
    th = H(offer, ek, answer, ct)
    same("s_fresh", s.send(0x813c, offer + text(ek)))
    same("c_fresh", c.send(0x803c, answer + text(ct)) + c.fresh(ss, th))
    same("s_change", s.fresh(ss, th))
    same("c_ping", c.send(0x8006, struct.pack(">I", 7)))
    same("s_pong", s.send(0x810a, struct.pack(">I", 7)))


kdf()
handshake(1)
handshake(2)
resume()
session()
fresh(1)
fresh(2)
sys.exit(failed)
