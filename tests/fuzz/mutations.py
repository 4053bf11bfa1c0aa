"""Damaged copies of good files and values: seeded, so that each can be made again."""

import copy
import json
import math

# Numbers and pieces of text at which readers tend to break.
STRANGE = [
    None, True, False, 0, -1, 1, 2, 3, 7, 1 << 31, 1 << 40, -(1 << 63), 1 << 64, 10**30, 0.5, 1.0, -0.0, 1e300,
    math.inf, math.nan, "", "a", "0", "O", "B-", "-", "B-PER", "\ud800", "\u2028", "\x00", "\x1b[2J", "a\nb",
    "x" * 3000, "..", "/", "__class__", [], {}, [[]], [[[[[]]]]], [None], [1, 2], {"": None}, {"a": {"b": []}},
    ["a"] * 40,
]  # fmt: skip
TOKENS = [
    b"\x00", b"\xff", b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x00" * 8, b"\x80", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n",
    b"\n\n", b"\r\n", b"\r", b"\t", b" ", b"\xe2\x80\xa8", b"-", b"0", b"-1", b"1e999", b"NaN", b"99999999999", b"null",
    b"true", b'"', b"{", b"}", b"[", b"]", b"[" * 2000, b"[" * 900 + b"]" * 900,
    b'{"a":' * 2000, b"9" * 5000, b"a" * 5000, b",", b":", b"#",
    b"..",
]  # fmt: skip


def change(value, rng, times=1):
    """Changes something, somewhere in nested lists and dicts: replaces, removes, repeats or adds it; in place."""
    for _ in range(times):
        inner = value
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                return
            key = rng.choice(keys)
            if isinstance(inner[key], (dict, list)) and inner[key] and rng.random() < 0.8:
                inner = inner[key]
                continue
            break
        strange = copy.deepcopy(rng.choice(STRANGE))
        how = rng.randrange(5)
        if how == 0:
            del inner[key]
        elif how == 1 and isinstance(inner, list):
            inner.insert(key, copy.deepcopy(inner[rng.choice(keys)]))
        elif how == 1:
            inner[rng.choice(["__class__", "a", "", "labels", "\ud800"])] = strange
        elif how == 2:
            inner[key] = copy.deepcopy(inner[rng.choice(keys)])
        else:
            inner[key] = strange


def changed(value, rng):
    """A copy of a JSON value with one change or a few."""
    value = copy.deepcopy(value)
    change(value, rng, rng.choice([1, 1, 1, 2, 4]))
    return value


def mutated_json(value, rng):
    """The bytes of a JSON value, changed as a value or as text."""
    if rng.random() < 0.7:
        return json.dumps(changed(value, rng)).encode("ascii")
    return mutated(json.dumps(value, ensure_ascii=False).encode("utf-8"), rng)


def mutated(content, rng):
    """A copy of some bytes with one change or a few."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        at = rng.randrange(len(content) + 1)
        to = min(len(content), at + rng.choice([1, 1, 2, 4, 8, 40, 400]))
        how = rng.randrange(8)
        if how == 0:
            del content[at:to]
        elif how == 1:
            content[at:at] = rng.choice(TOKENS)
        elif how == 2:
            content[at:to] = rng.choice(TOKENS)
        elif how == 3:
            content[at:at] = content[at:to]
        elif how == 4 and rng.random() < 0.3:
            del content[at:]
        elif how == 5:
            other = rng.randrange(len(content) + 1)
            content[at:to] = content[other : other + to - at]
        elif at < len(content):
            content[at] = rng.choice([content[at] ^ (1 << rng.randrange(8)), rng.randrange(256)])
    return bytes(content)
