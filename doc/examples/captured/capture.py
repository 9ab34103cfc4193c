#!/usr/bin/env python3
"""Writes one MoE layer, as a program of yours would capture it, for `moecheck judge`.

The layer is computed here in plain Python, forward and backward, so that nothing of moecheck is
involved: inputs x, w1, w2, do, picks and scores, and outputs o, z, dx, dw1, dw2, ds. SwiGLU with
rows gate, up, gate, up; router=lists, since picks and scores come from elsewhere (here: top-2 of a
softmax over normalised activations).

    python3 capture.py layer.safetensors
    moecheck judge 'T=12 H=16 I=8 E=4 K=2 dtype=f32 router=lists' layer.safetensors
"""
import json
import math
import random
import struct
import sys

T, H, I, E, K = 12, 16, 8, 4, 2
random.seed(7)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def draw(rows, cols, scale):
    return [[f32(random.gauss(0, scale)) for _ in range(cols)] for _ in range(rows)]


def dot(a, b):
    return math.fsum(p * q for p, q in zip(a, b))


def rms_normalised(rows):
    return [[f32(v / math.sqrt(dot(r, r) / len(r))) for v in r] for r in rows]


def silu(g):
    s = 1 / (1 + math.exp(-g))
    return g * s, s * (1 + g * (1 - s))  # value, slope


x = rms_normalised(draw(T, H, 1))
router = draw(E, H, H**-0.5)
w1 = [draw(2 * I, H, H**-0.5) for _ in range(E)]
w2 = [draw(H, I, I**-0.5) for _ in range(E)]
d_o = draw(T, H, 1)

picks, scores = [], []
for t in range(T):
    logits = [dot(x[t], w) for w in router]
    total = sum(math.exp(v) for v in logits)
    best = sorted(range(E), key=lambda e: (-logits[e], e))[:K]
    picks.append(best)
    scores.append([f32(math.exp(logits[e]) / total) for e in best])

o, dx = [[0.0] * H for _ in range(T)], [[0.0] * H for _ in range(T)]
ds = [[0.0] * K for _ in range(T)]
dw1 = [[[0.0] * H for _ in range(2 * I)] for _ in range(E)]
dw2 = [[[0.0] * I for _ in range(H)] for _ in range(E)]
z = []  # rows by expert, then token
for e in range(E):
    for t in range(T):
        if e not in picks[t]:
            continue
        k = picks[t].index(e)
        s = scores[t][k]
        zr = [f32(dot(x[t], w)) for w in w1[e]]
        z.append(zr)
        gates = [silu(zr[2 * i]) for i in range(I)]
        a = [gates[i][0] * zr[2 * i + 1] for i in range(I)]
        da = [math.fsum(d_o[t][h] * w2[e][h][i] for h in range(H)) for i in range(I)]
        ds[t][k] = dot(da, a)
        dz = [0.0] * (2 * I)
        for i in range(I):
            dz[2 * i] = s * da[i] * zr[2 * i + 1] * gates[i][1]
            dz[2 * i + 1] = s * da[i] * gates[i][0]
        for h in range(H):
            o[t][h] += s * dot(a, w2[e][h])
            dx[t][h] += math.fsum(dz[j] * w1[e][j][h] for j in range(2 * I))
            for i in range(I):
                dw2[e][h][i] += d_o[t][h] * s * a[i]
            for j in range(2 * I):
                dw1[e][j][h] += dz[j] * x[t][h]


def flat(values):
    return [v for row in values for v in flat(row)] if isinstance(values, list) else [values]


def shape(values):
    return [len(values)] + shape(values[0]) if isinstance(values, list) else []


tensors = {"x": x, "w1": w1, "w2": w2, "do": d_o, "picks": picks, "scores": scores, "o": o, "z": z,
           "dx": dx, "ds": ds, "dw1": dw1, "dw2": dw2}
header, data = {}, b""
for name, values in tensors.items():
    dtype, code = ("I32", "i") if name == "picks" else ("F32", "f")
    flatly = flat(values)
    raw = struct.pack("<%d%s" % (len(flatly), code), *flatly)
    header[name] = {"dtype": dtype, "shape": shape(values),
                    "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as out:
    out.write(struct.pack("<Q", len(text)) + text + data)
