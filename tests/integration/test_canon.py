"""docs/cache.md written down a second time, in Python, and held against the vectors that the C tests read: a key
is the same in every language. Run as a program it prints the vectors of what is in EXAMPLES and CALLS."""
import hashlib
import json
import math
import struct
import sys
from pathlib import Path

import msgpack
import pytest

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "canon.json"
INLINE = 128


def number(head, value, size):
    return bytes([head]) + (value % (1 << 8 * size)).to_bytes(size, "big")


def sized(n, small, heads):
    """The head of something with n bytes or items: small forms first."""
    if small is not None and n < small[1]:
        return bytes([small[0] | n])
    for head, size in heads:
        if n < 1 << 8 * size:
            return number(head, n, size)
    raise ValueError(n)


def integer(i):
    if 0 <= i < 128 or -32 <= i < 0:
        return bytes([i % 256])
    if i > 0:
        return sized(i, None, [(0xcc, 1), (0xcd, 2), (0xce, 4), (0xcf, 8)])
    for head, size in ((0xd0, 1), (0xd1, 2), (0xd2, 4), (0xd3, 8)):
        if -i <= 1 << 8 * size - 1:
            return number(head, i, size)
    raise ValueError(i)


def real(x, digits):
    if math.isnan(x):
        return b"\xcb\x7f\xf8" + bytes(6)
    if digits is not None and math.isfinite(x) and abs(x) < 2**53:
        x = round(x, digits) + 0.0
    return b"\xcb" + struct.pack(">d", x)


def canonical(v, digits=None):
    """The canonical form of a value. Maps are lists of pairs in `Map`."""
    if v is None:
        return b"\xc0"
    if isinstance(v, bool):
        return b"\xc3" if v else b"\xc2"
    if isinstance(v, int):
        return integer(v)
    if isinstance(v, float):
        return real(v, digits)
    if isinstance(v, str):
        v = v.encode()
        return sized(len(v), (0xa0, 32), [(0xd9, 1), (0xda, 2), (0xdb, 4)]) + v
    if isinstance(v, bytes):
        return sized(len(v), None, [(0xc4, 1), (0xc5, 2), (0xc6, 4)]) + v
    if isinstance(v, (list, tuple)):
        return sized(len(v), (0x90, 16), [(0xdc, 2), (0xdd, 4)]) + b"".join(canonical(x, digits) for x in v)
    pairs = sorted((canonical(k, digits), canonical(x, digits)) for k, x in v.items())
    return sized(len(pairs), (0x80, 16), [(0xde, 2), (0xdf, 4)]) + b"".join(k + x for k, x in pairs)


def component(v, digits):
    b = canonical(v, digits)
    return b if len(b) <= INLINE else b"\xc7\x20\x01" + hashlib.blake2b(b, digest_size=32).digest()


def parts(function, version, args, params, digits=None):
    def components(d):
        pairs = sorted((canonical(k), component(v, digits)) for k, v in d.items())
        return sized(len(pairs), (0x80, 16), [(0xde, 2), (0xdf, 4)]) + b"".join(k + v for k, v in pairs)
    return b"\x94" + canonical(function) + canonical(version) + components(args) + components(params)


def key(*call):
    return hashlib.blake2b(parts(*call), digest_size=32).digest()


# name, value, decimals
EXAMPLES = [
    ("nothing", None, None), ("true", True, None), ("false", False, None),
    ("1: not true", 1, None), ("1.0: not 1", 1.0, None), ("-1", -1, None), ("-2: another than -1", -2, None),
    *[(f"integer {i}", i, None) for i in (0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63,
                                          2**64 - 1, -32, -33, -128, -129, -32768, -32769, -2**31, -2**31 - 1, -2**63)],
    ("0.0", 0.0, None), ("-0.0: another than 0.0", -0.0, None), ("0.1", 0.1, None), ("0.1 + 0.2", 0.1 + 0.2, None),
    ("infinity", math.inf, None), ("-infinity", -math.inf, None), ("not a number", math.nan, None),
    ("the smallest real", 5e-324, None), ("the largest real", sys.float_info.max, None),
    ("0.1 + 0.2 with 2 decimals", 0.1 + 0.2, 2), ("0.3 with 2 decimals: the same", 0.3, 2),
    ("-0.001 with 2 decimals: no negative zero", -0.001, 2), ("2.5 with none: a tie goes to even", 2.5, 0),
    ("2.675 with 2: it is less than a tie", 2.675, 2), ("1e300 with 2: whole already", 1e300, 2),
    ("not a number, with 2", math.nan, 2), ("infinity, with 2", math.inf, 2), ("7 with 2: no real", 7, 2),
    ("1e-9 with 15", 1e-9, 15),
    ("no text", "", None), ("text", "zstd", None), ("text of 31 bytes", "a" * 31, None),
    ("text of 32 bytes", "a" * 32, None), ("text of 256 bytes", "a" * 256, None), ("text of 65536 bytes", "ä" * 32768, None),
    ("é as one character", "\u00e9", None), ("é as two: another text", "e\u0301", None),
    ("no bytes", b"", None), ("bytes: no text", b"zstd", None), ("256 bytes", bytes(256), None),
    ("no items", [], None), ("a list", [1, "a", None, [True, 2.5]], None), ("16 items", list(range(16)), None),
    ("no pairs", {}, None), ("a map: in the order of its keys", {"b": 1, "a": 2}, None),
    ("shorter keys first, by their heads", {"aa": 1, "b": 2}, None), ("keys of several types", {"a": 1, 2: 2, -1: 3, True: 4}, None),
    ("maps in maps", {"x": {"z": 1, "y": [{"b": 1, "a": 0.123456}]}}, 3),
    ("17 pairs", {f"k{i}": i for i in range(17)}, None),
]
# name, function, version, arguments, parameters, decimals
CALLS = [
    ("a call of nothing", "f", None, {}, {}, None),
    ("with a version", "f", "2", {}, {}, None),
    ("arguments", "compress", None, {"level": 3, "codec": "zstd"}, {}, None),
    ("in another order: the same", "compress", None, {"codec": "zstd", "level": 3}, {}, None),
    ("parameters are no arguments", "compress", None, {}, {"codec": "zstd", "level": 3}, None),
    ("level 3.0 is another", "compress", None, {"codec": "zstd", "level": 3.0}, {}, None),
    ("rounded", "train", "1", {"lr": 0.30000000000000004}, {"temperature": 0.7000001}, 2),
    ("rounded to the same", "train", "1", {"lr": 0.3}, {"temperature": 0.7}, 2),
    ("128 bytes stand for themselves", "f", None, {"x": "a" * 126}, {}, None),
    ("129 bytes are a digest", "f", None, {"x": "a" * 127}, {}, None),
    ("a large list by its digest", "f", None, {"x": list(range(1000))}, {"config": {"layers": [128] * 100}}, None),
    ("names of any script", "größe", None, {"数": 1}, {}, None),
]


def notation(v):
    """As in values.json."""
    if isinstance(v, float):
        if math.isnan(v) or math.isinf(v):
            return {"$real": "nan" if math.isnan(v) else "inf" if v > 0 else "-inf"}
        return {"$real": "-0"} if v == 0 and math.copysign(1, v) < 0 else v
    if isinstance(v, bytes):
        return {"$bin": v.hex()}
    if isinstance(v, int) and not isinstance(v, bool) and abs(v) > 2**53:
        return {"$int": str(v)}
    if isinstance(v, list):
        return [notation(x) for x in v]
    if isinstance(v, dict):
        if all(isinstance(k, str) for k in v):
            return {k: notation(x) for k, x in v.items()}
        return {"$map": [[notation(k), notation(x)] for k, x in v.items()]}
    return v


def value(n):
    """And back."""
    if isinstance(n, list):
        return [value(x) for x in n]
    if not isinstance(n, dict):
        return n
    if len(n) == 1:
        (name, v), = n.items()
        if name == "$real":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-0": -0.0}[v]
        if name == "$bin":
            return bytes.fromhex(v)
        if name == "$int":
            return int(v)
        if name == "$map":
            return {value(k): value(x) for k, x in v}
    return {k: value(x) for k, x in n.items()}


def packed(v):
    return msgpack.packb(v, use_bin_type=True).hex()


def make():
    values = [{"name": n, "value": notation(v), "bytes": packed(v), **({} if d is None else {"digits": d}),
               "canonical": canonical(v, d).hex()} for n, v, d in EXAMPLES]
    values += [{"name": n, "bytes": b, "error": e} for n, b, e in [
        ("the same key twice", "82a16101a16102", "duplicate_key"), ("twice, in two forms", "8201a161cc01a162", "duplicate_key"),
        ("twice, deep inside", "91 81a178 82a16101a16102".replace(" ", ""), "duplicate_key"),
        ("an extension", "d40100", "bad_type"), ("cut short", "92c0", "bad_message")]]
    calls = [{"name": n, "function": f, "version": v, "args": notation(a), "args_bytes": packed(a), "params": notation(p),
              "params_bytes": packed(p), **({} if d is None else {"digits": d}), "parts": parts(f, v, a, p, d).hex(),
              "key": key(f, v, a, p, d).hex()} for n, f, v, a, p, d in CALLS]
    lines = lambda items: ",\n".join("    " + json.dumps(i, ensure_ascii=False) for i in items)
    return ('{\n  "about": [\n'
            '    "Canonical forms and cache keys, as docs/cache.md has them. `value`, `args`, `params` as in values.json;",\n'
            '    "`bytes` is a MessagePack encoding of them, `canonical` the one that counts. `digits`: decimals that reals",\n'
            '    "are rounded to. `error` is the code of what has no canonical form."\n  ],\n'
            f'  "values": [\n{lines(values)}\n  ],\n  "calls": [\n{lines(calls)}\n  ]\n}}\n')


def load(what):
    return json.loads(VECTORS.read_text())[what]


@pytest.mark.parametrize("v", [v for v in load("values") if "canonical" in v] if VECTORS.exists() else [],
                         ids=lambda v: v["name"])
def test_values(v):
    assert canonical(value(v["value"]), v.get("digits")).hex() == v["canonical"]


@pytest.mark.parametrize("c", load("calls") if VECTORS.exists() else [], ids=lambda c: c["name"])
def test_calls(c):
    call = (c["function"], c["version"], value(c["args"]), value(c["params"]), c.get("digits"))
    assert parts(*call).hex() == c["parts"] and key(*call).hex() == c["key"]


def test_what_must_differ_differs_and_what_must_not_does_not():
    by_name = {v["name"]: v.get("canonical") for v in load("values")}
    different = ["true", "1: not true", "1.0: not 1", "-1", "-2: another than -1", "0.0", "-0.0: another than 0.0"]
    assert len({by_name[n] for n in different}) == len(different)
    assert by_name["0.1 + 0.2 with 2 decimals"] == by_name["0.3 with 2 decimals: the same"]
    assert by_name["not a number"] == by_name["not a number, with 2"]
    keys = {c["name"]: c["key"] for c in load("calls")}
    assert keys["arguments"] == keys["in another order: the same"]
    assert keys["rounded"] == keys["rounded to the same"]
    assert len(set(keys.values())) == len(keys) - 2


if __name__ == "__main__":
    sys.stdout.write(make())
