"""wrnc's random numbers, written again from their definition.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
as 1, 2, 3", SC 2011) and what wrnc makes of it: dropout masks and the initial
values of parameters. Nothing here is translated from wrnc's Go.
"""

import numpy as np

LOW = np.uint64(0xFFFFFFFF)


def philox(counter, key):
    """The four random words of each counter: four arrays and two numbers in, four arrays out."""
    c = [np.asarray(v, dtype=np.uint64) for v in counter]
    k = [int(v) for v in key]
    for _ in range(10):
        p0 = c[0] * np.uint64(0xD2511F53)
        p1 = c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k[0]),
            p1 & LOW,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k[1]),
            p0 & LOW,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def check():
    """Hold philox to the answers that its authors publish (Random123, kat_vectors)."""
    ones = 0xFFFFFFFF
    known = [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, [ones] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ]
    for counter, key, want in known:
        got = [int(v) for v in philox(counter, key)]
        if got != want:
            raise SystemExit(f"philox({counter}, {key}) = {got}, published {want}")
    for name, want in [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)]:
        if fnv1a(name, 32) != want:
            raise SystemExit(f"FNV-1a of {name!r} is not the published {want:#x}")


def fnv1a(name, bits):
    """The FNV-1a hash of a name, of 32 or 64 bits."""
    h, prime = {32: (2166136261, 16777619), 64: (14695981039346656037, 1099511628211)}[bits]
    for b in name.encode():
        h = (h ^ b) * prime % 2**bits
    return h


def halves(seed):
    return seed & 0xFFFFFFFF, seed >> 32


def threshold(p):
    """T: an element is dropped where its 16 random bits are below it."""
    return int(p * 65536 + 0.5)


def mask(shape, p, layer, seed, step):
    """The elements of an NHWC activation that dropout keeps, as booleans."""
    count = int(np.prod(shape))
    group = np.arange((count + 7) // 8, dtype=np.uint64)
    words = philox(
        [group & LOW, group >> np.uint64(32), np.full_like(group, step & 0xFFFFFFFF), np.full_like(group, fnv1a(layer, 32))],
        halves(seed),
    )
    # Half-word e mod 8 of element e, the low half of each word first.
    bits = np.stack([h for w in words for h in (w & np.uint64(0xFFFF), w >> np.uint64(16))], axis=1)
    return (bits.reshape(-1)[:count] >= threshold(p)).reshape(shape)


def uniforms(count, name, seed):
    """Numbers in (0, 1), two a counter: 52 random bits each, from the middle of their interval."""
    pair = np.arange((count + 1) // 2, dtype=np.uint64)
    low, high = halves(fnv1a(name, 64))
    w = philox([pair & LOW, pair >> np.uint64(32), np.full_like(pair, low), np.full_like(pair, high)], halves(seed))
    wide = [(w[0] << np.uint64(32) | w[1]) >> np.uint64(12), (w[2] << np.uint64(32) | w[3]) >> np.uint64(12)]
    return [(v.astype(np.float64) + 0.5) * 2.0**-52 for v in wide]


def uniform(shape, name, seed, low, high):
    """A state drawn evenly from [low, high)."""
    count = int(np.prod(shape))
    u = np.stack(uniforms(count, name, seed), axis=1).reshape(-1)[:count]
    return (low + (high - low) * u).reshape(shape)


def normal(shape, name, seed, deviation):
    """A state drawn from a normal distribution, by Box and Muller's method."""
    count = int(np.prod(shape))
    u, v = uniforms(count, name, seed)
    r = deviation * np.sqrt(-2 * np.log(u))
    both = np.stack([r * np.cos(2 * np.pi * v), r * np.sin(2 * np.pi * v)], axis=1)
    return both.reshape(-1)[:count].reshape(shape)
