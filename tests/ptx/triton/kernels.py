"""Kernels in Triton whose PTX is kept beside this file: python3 kernels.py FOLDER writes it."""
import sys

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def add_rows(x, y, out, count, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    tl.store(out + at, tl.load(x + at, mask=inside) + tl.load(y + at, mask=inside), mask=inside)


@triton.jit
def softmax_rows(x, out, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < columns
    value = tl.load(x + row * columns + column, mask=inside, other=float("-inf"))
    power = tl.exp(value - tl.max(value, axis=0))
    tl.store(out + row * columns + column, power / tl.sum(power, axis=0), mask=inside)


@triton.jit
def count_experts(picks, counts, entries, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < entries
    tl.atomic_add(counts + tl.load(picks + at, mask=inside, other=0), 1, mask=inside)


@triton.jit
def scan_offsets(counts, offsets, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    count = tl.load(counts + at)
    tl.store(offsets + at, tl.cumsum(count, axis=0) - count)


@triton.jit
def product(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """c[M,N] = a[M,K] b[N,K]^T, f32 sums."""
    row = tl.program_id(0) * BM + tl.arange(0, BM)
    column = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, K, BK):
        left = tl.load(a + row[:, None] * K + start + k[None, :],
                       mask=(row[:, None] < M) & (start + k[None, :] < K), other=0.0)
        right = tl.load(b + column[:, None] * K + start + k[None, :],
                        mask=(column[:, None] < N) & (start + k[None, :] < K), other=0.0)
        total = tl.dot(left, right.T, total)
    tl.store(c + row[:, None] * N + column[None, :], total.to(c.dtype.element_ty),
             mask=(row[:, None] < M) & (column[None, :] < N))


@triton.jit
def gathered_product(x, rows, w, y, offsets, N, K, BM: tl.constexpr, BN: tl.constexpr,
                     BK: tl.constexpr):
    """y[offsets[e]+i, N] = x[rows[offsets[e]+i], K] w[e][N,K]^T; expert e is program_id(2)."""
    expert = tl.program_id(2)
    begin = tl.load(offsets + expert)
    end = tl.load(offsets + expert + 1)
    at = begin + tl.program_id(0) * BM + tl.arange(0, BM)
    column = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    if begin + tl.program_id(0) * BM < end:
        row = tl.load(rows + at, mask=at < end, other=0)
        weight = w + expert.to(tl.int64) * N * K
        total = tl.zeros((BM, BN), dtype=tl.float32)
        for start in range(0, K, BK):
            left = tl.load(x + row[:, None].to(tl.int64) * K + start + k[None, :],
                           mask=(at[:, None] < end) & (start + k[None, :] < K), other=0.0)
            right = tl.load(weight + column[:, None] * K + start + k[None, :],
                            mask=(column[:, None] < N) & (start + k[None, :] < K), other=0.0)
            total = tl.dot(left, right.T, total)
        tl.store(y + at[:, None] * N + column[None, :], total.to(y.dtype.element_ty),
                 mask=(at[:, None] < end) & (column[None, :] < N))


@triton.jit
def described_product(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """As product, by tensor maps that the kernel makes."""
    left = tl.make_tensor_descriptor(a, shape=[M, K], strides=[K, 1], block_shape=[BM, BK])
    right = tl.make_tensor_descriptor(b, shape=[N, K], strides=[K, 1], block_shape=[BN, BK])
    out = tl.make_tensor_descriptor(c, shape=[M, N], strides=[N, 1], block_shape=[BM, BN])
    row = tl.program_id(0) * BM
    column = tl.program_id(1) * BN
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, K, BK):
        total = tl.dot(left.load([row, start]), right.load([column, start]).T, total)
    out.store([row, column], total.to(c.dtype.element_ty))


F, I, B, H, Q = "*fp32", "*i32", "*bf16", "*fp16", "*fp8e4nv"
SIZES = {"M": "i32", "N": "i32", "K": "i32"}
TILE = {"BM": 64, "BN": 64, "BK": 64}
GATHERED = {"x": B, "rows": I, "w": B, "y": B, "offsets": I, "N": "i32", "K": "i32"}
# name, function, types of its arguments, constants, options
KERNELS = [
    ("add_rows", add_rows, {"x": F, "y": F, "out": F, "count": "i32"}, {"BLOCK": 512}, {}),
    ("softmax_rows", softmax_rows, {"x": F, "out": F, "columns": "i32"}, {"BLOCK": 128}, {}),
    ("count_experts", count_experts, {"picks": I, "counts": I, "entries": "i32"}, {"BLOCK": 256}, {}),
    ("scan_offsets", scan_offsets, {"counts": I, "offsets": I}, {"BLOCK": 64}, {}),
    ("product_bf16", product, {"a": B, "b": B, "c": B, **SIZES}, TILE, {"num_stages": 3}),
    ("product_8warps", product, {"a": B, "b": B, "c": B, **SIZES},
     {"BM": 128, "BN": 64, "BK": 64}, {"num_warps": 8, "num_stages": 4}),
    ("product_mma", product, {"a": H, "b": H, "c": H, **SIZES}, {"BM": 16, "BN": 32, "BK": 32},
     {"num_stages": 3}),
    ("product_e4m3", product, {"a": Q, "b": Q, "c": F, **SIZES}, TILE, {"num_stages": 3}),
    ("gathered_product", gathered_product, GATHERED, TILE, {"num_stages": 3}),
    ("described_product", described_product, {"a": H, "b": H, "c": H, **SIZES}, TILE,
     {"num_stages": 3}),
]

for name, function, signature, constants, options in KERNELS:
    signature = {**signature, **{key: "constexpr" for key in constants}}
    # As Triton has it where the caller's pointers and sizes are multiples of 16.
    attrs = {(i,): [["tt.divisibility", 16]] for i, key in enumerate(signature)
             if signature[key].startswith("*") or key in ("K", "N")}
    source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=attrs)
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    with open(f"{sys.argv[1]}/{name}.ptx", "w", encoding="utf-8") as file:
        file.write(made.asm["ptx"])
    print(f"{name}: {made.metadata.num_warps} warps, {made.metadata.shared} bytes shared, "
          f"{made.metadata.global_scratch_size} bytes of scratch memory a CTA")
