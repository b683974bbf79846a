"""The same problems as a Triton user writes them, compiled ahead of time: no GPU is needed.

    PYTHONPATH=build/gpu-static python3 test/bench/triton_peers.py      products on AMD's chips: of each loop its
                                                                        instructions, those of matrices, and spills
"""
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def product(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    a = tl.make_tensor_descriptor(a_ptr, [M, K], [K, 1], [BM, BK])
    b = tl.make_tensor_descriptor(b_ptr, [N, K], [K, 1], [BN, BK])
    c = tl.make_tensor_descriptor(c_ptr, [M, N], [N, 1], [BM, BN])
    pm = tl.program_id(0)
    pn = tl.program_id(1)
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(a.load([pm * BM, k]), b.load([pn * BN, k]).T, acc)
    c.store([pm * BM, pn * BN], acc.to(tl.bfloat16))


@triton.jit
def attention(q_ptr, k_ptr, v_ptr, o_ptr, N, scale, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    q = tl.make_tensor_descriptor(q_ptr, [N, D], [D, 1], [BM, D])
    k = tl.make_tensor_descriptor(k_ptr, [N, D], [D, 1], [BN, D])
    v = tl.make_tensor_descriptor(v_ptr, [N, D], [D, 1], [BN, D])
    o = tl.make_tensor_descriptor(o_ptr, [N, D], [D, 1], [BM, D])
    pm = tl.program_id(0)
    most = tl.full((BM,), -float("inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    acc = tl.zeros((BM, D), tl.float32)
    rows = q.load([pm * BM, 0])
    for j in range(0, N, BN):
        s = tl.dot(rows, k.load([j, 0]).T) * scale
        above = tl.maximum(most, tl.max(s, 1))
        p = tl.exp2(s - above[:, None])
        shrink = tl.exp2(most - above)
        total = total * shrink + tl.sum(p, 1)
        acc = acc * shrink[:, None]
        acc = tl.dot(p.to(tl.bfloat16), v.load([j, 0]), acc)
        most = above
    o.store([pm * BM, 0], (acc / total[:, None]).to(tl.bfloat16))


@triton.jit
def product_by_addresses(a_ptr, b_ptr, c_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, TRANSPOSED: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    depth = tl.arange(0, BK)
    a = a_ptr + rows[:, None] * K + depth[None, :]
    b = b_ptr + (columns[None, :] * K + depth[:, None] if TRANSPOSED else depth[:, None] * N + columns[None, :])
    acc = tl.zeros((BM, BN), tl.float32)
    for k in range(0, K, BK):
        acc = tl.dot(tl.load(a), tl.load(b), acc)
        a += BK
        b += BK if TRANSPOSED else BK * N
    tl.store(c_ptr + rows[:, None] * N + columns[None, :], acc.to(tl.bfloat16))


def amd_loops():
    """Prints what the loop over k of a product of bf16 is on each of AMD's chips, B [N, K] and B [K, N]."""
    signature = {"a_ptr": "*bf16", "b_ptr": "*bf16", "c_ptr": "*bf16", "M": "i32", "N": "i32", "K": "i32"}
    for chip, lanes, tile, depth in (("gfx942", 64, 256, 64), ("gfx950", 64, 256, 64), ("gfx1100", 32, 128, 32), ("gfx1201", 32, 128, 32)):
        for transposed in (True, False):
            source = ASTSource(fn=product_by_addresses, signature=signature, attrs={(i,): [["tt.divisibility", 16]] for i in range(6)},
                               constexprs={"BM": tile, "BN": tile, "BK": depth, "TRANSPOSED": transposed})
            text = triton.compile(source, target=GPUTarget("hip", chip, lanes), options={"num_warps": 8, "num_stages": 2}).asm["amdgcn"]
            products = r"^\s+v_(?:s?mfma|wmma)\w*"
            loop = max(re.split(r"\n\.LBB\d+_\d+:", text), key=lambda part: len(re.findall(products, part, re.M)))
            instructions = re.findall(r"^\s+[a-z]\w+", loop, re.M)
            spilled = re.search(r"vgpr_spill_count: *(\d+)", text).group(1)
            print(f"{chip} {tile}x{tile}x{depth}, A B{'^T' if transposed else ''}: {len(instructions)} instructions for "
                  f"{len(re.findall(products, loop, re.M))} products, {spilled} spilled")


def compile_all():
    """[(name, compiled kernel)] for sm_90a."""
    target = GPUTarget("cuda", 90, 32)
    matrix = {"a_ptr": "*bf16", "b_ptr": "*bf16", "c_ptr": "*bf16", "M": "i32", "N": "i32", "K": "i32"}
    heads = {"q_ptr": "*bf16", "k_ptr": "*bf16", "v_ptr": "*bf16", "o_ptr": "*bf16", "N": "i32", "scale": "fp32"}
    wanted = [
        ("product 128x256x64, 8 warps", product, matrix, {"BM": 128, "BN": 256, "BK": 64}, 8, 3),
        ("attention 128x128 head 128, 8 warps", attention, heads, {"BM": 128, "BN": 128, "D": 128}, 8, 2),
    ]
    made = []
    for name, function, signature, constants, warps, stages in wanted:
        source = ASTSource(fn=function, signature=signature, constexprs=constants)
        made.append((name, triton.compile(source, target=target, options={"num_warps": warps, "num_stages": stages})))
    return made


if __name__ == "__main__":
    amd_loops()
