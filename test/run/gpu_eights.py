"""fp8 on emulated GPUs: conversions, and products with and without scales."""
import os, re, subprocess

import numpy as np

from gpu_case import COMPILE, DEVICES, SEED, compile_text, expect, from_bf16, only, stepdown


def eights(element):
    """The numbers of the 256 codes of an fp8 type, in float64."""
    codes = np.arange(256)
    if element == "f8E5M2":  # the upper half of an f16
        return (codes << 8).astype(np.uint16).view(np.float16).astype(np.float64)
    exponent, fraction = codes >> 3 & 15, codes & 7
    value = np.where(exponent > 0, (8 + fraction) * 2.0 ** (exponent - 10), fraction * 2.0**-9)
    return np.where(codes & 127 == 127, np.nan, np.where(codes > 127, -value, value))


def nearest_eight(values, element):
    """The codes that are nearest to `values`, ties to the even one, by search; infinity, or NaN, beyond the largest."""
    table = eights(element)[:128]
    finite = np.flatnonzero(np.isfinite(table))
    size, last = abs(values), int(finite[-1])
    # What lies beyond the largest number by half a step or more, which is even there in e4m3 alone, is none.
    steps = np.append(table[finite], 2 * table[last] - table[last - 1])
    above = np.searchsorted(steps, np.minimum(size, steps[-1] * 2)).clip(1, len(steps) - 1)
    low, high = steps[above - 1], steps[above]
    up = (size - low > high - size) | ((size - low == high - size) & (above % 2 == 0))
    codes = np.where(np.isnan(size), {"f8E4M3FN": 127, "f8E5M2": 126}[element], np.where(up, above, above - 1))
    return (codes | np.where(np.signbit(values), 128, 0)).astype(np.uint8)


EIGHTS = """
func.func @wide_{e}(%x: tensor<256x{e}>) -> (tensor<256xf32>, tensor<256xf64>, tensor<256xbf16>) {{
  %a = arith.extf %x : tensor<256x{e}> to tensor<256xf32>
  %b = arith.extf %x : tensor<256x{e}> to tensor<256xf64>
  %c = arith.extf %x : tensor<256x{e}> to tensor<256xbf16>
  return %a, %b, %c : tensor<256xf32>, tensor<256xf64>, tensor<256xbf16>
}}
func.func @narrow_{e}(%x: tensor<?xf32>, %y: tensor<?xf64>) -> (tensor<?x{e}>, tensor<?x{e}>) {{
  %a = arith.truncf %x : tensor<?xf32> to tensor<?x{e}>
  %b = arith.truncf %y : tensor<?xf64> to tensor<?x{e}>
  return %a, %b : tensor<?x{e}>, tensor<?x{e}>
}}
func.func @moved_{e}(%x: {e}, %t: tensor<?x{e}>, %n: index) -> ({e}, tensor<?x{e}>, tensor<3x{e}>) {{
  %e = tensor.extract %t[%n] : tensor<?x{e}>
  %w = tensor.insert %x into %t[%n] : tensor<?x{e}>
  %c = arith.constant dense<[1.0, -0.25, 0.5]> : tensor<3x{e}>
  return %e, %w, %c : {e}, tensor<?x{e}>, tensor<3x{e}>
}}
func.func @product_{e}(%a: tensor<?x199x{e}>, %b: tensor<199x61x{e}>) -> tensor<?x61xf32> {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x199x{e}>
  %t = tensor.empty(%m) : tensor<?x61xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<?x61xf32>) -> tensor<?x61xf32>
  %p = linalg.matmul ins(%a, %b : tensor<?x199x{e}>, tensor<199x61x{e}>) outs(%f : tensor<?x61xf32>) -> tensor<?x61xf32>
  return %p : tensor<?x61xf32>
}}
func.func @later_{e}(%a: tensor<?x?x{e}>, %b: tensor<?x61x{e}>) -> tensor<?x61xf32> {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x?x{e}>
  %t = tensor.empty(%m) : tensor<?x61xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<?x61xf32>) -> tensor<?x61xf32>
  %p = linalg.matmul ins(%a, %b : tensor<?x?x{e}>, tensor<?x61x{e}>) outs(%f : tensor<?x61xf32>) -> tensor<?x61xf32>
  return %p : tensor<?x61xf32>
}}
func.func @long_{e}(%a: tensor<61x4099x{e}>, %b: tensor<67x4099x{e}>) -> tensor<61x67xf32> {{
  %zero = arith.constant 0.0 : f32
  %t = tensor.empty() : tensor<61x67xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<61x67xf32>) -> tensor<61x67xf32>
  %p = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%a, %b : tensor<61x4099x{e}>, tensor<67x4099x{e}>) outs(%f : tensor<61x67xf32>) -> tensor<61x67xf32>
  return %p : tensor<61x67xf32>
}}
func.func @batches_{e}(%a: tensor<?x67x131x{e}>, %b: tensor<?x131x61x{e}>, %c: tensor<?x67x127x{e}>, %d: tensor<?x61x127x{e}>)
    -> (tensor<?x67x61xf32>, tensor<?x67x61xf32>) {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %a, %c0 : tensor<?x67x131x{e}>
  %t = tensor.empty(%n) : tensor<?x67x61xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  %p = linalg.batch_matmul ins(%a, %b : tensor<?x67x131x{e}>, tensor<?x131x61x{e}>) outs(%f : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  %q = linalg.batch_matmul indexing_maps = [affine_map<(b, i, j, k) -> (b, i, k)>, affine_map<(b, i, j, k) -> (b, j, k)>, affine_map<(b, i, j, k) -> (b, i, j)>]
      ins(%c, %d : tensor<?x67x127x{e}>, tensor<?x61x127x{e}>) outs(%f : tensor<?x67x61xf32>) -> tensor<?x67x61xf32>
  return %p, %q : tensor<?x67x61xf32>, tensor<?x67x61xf32>
}}
func.func @scaled_{e}(%a: tensor<67x127x{e}>, %b: tensor<31x127x{e}>, %rows: tensor<67xf32>, %columns: tensor<31xf32>) -> tensor<67x31xf32> {{
  %zero = arith.constant 0.0 : f32
  %t = tensor.empty() : tensor<67x31xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<67x31xf32>) -> tensor<67x31xf32>
  %p = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%a, %b : tensor<67x127x{e}>, tensor<31x127x{e}>) outs(%f : tensor<67x31xf32>) -> tensor<67x31xf32>
  %y = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>],
                        iterator_types = ["parallel", "parallel"]}}
      ins(%p, %rows, %columns : tensor<67x31xf32>, tensor<67xf32>, tensor<31xf32>) outs(%t : tensor<67x31xf32>) {{
  ^bb0(%v: f32, %r: f32, %c: f32, %o: f32):
    %u = arith.mulf %v, %r : f32
    %w = arith.mulf %u, %c : f32
    linalg.yield %w : f32
  }} -> tensor<67x31xf32>
  return %y : tensor<67x31xf32>
}}
"""
# Codes times scales: of blocks, and of rows and one for all.
SCALED = {"f8E4M3FN": """
func.func @blocks_{e}(%a: tensor<?x3x128x{e}>, %sa: tensor<?x3xf32>, %b: tensor<2x128x3x128x{e}>, %sb: tensor<2x3xf32>) -> tensor<?x256xf32> {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %m = tensor.dim %a, %c0 : tensor<?x3x128x{e}>
  %x = tensor.empty(%m) : tensor<?x3x128xf32>
  %y = tensor.empty() : tensor<2x128x3x128xf32>
  %t = tensor.empty(%m) : tensor<?x256xf32>
  %0 = linalg.generic {{indexing_maps = [affine_map<(i, b, k) -> (i, b, k)>, affine_map<(i, b, k) -> (i, b)>, affine_map<(i, b, k) -> (i, b, k)>],
                       iterator_types = ["parallel", "parallel", "parallel"]}} ins(%a, %sa : tensor<?x3x128x{e}>, tensor<?x3xf32>) outs(%x : tensor<?x3x128xf32>) {{
  ^bb0(%code: {e}, %scale: f32, %out: f32):
    %wide = arith.extf %code : {e} to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  }} -> tensor<?x3x128xf32>
  %1 = linalg.generic {{indexing_maps = [affine_map<(n, j, b, k) -> (n, j, b, k)>, affine_map<(n, j, b, k) -> (n, b)>, affine_map<(n, j, b, k) -> (n, j, b, k)>],
                       iterator_types = ["parallel", "parallel", "parallel", "parallel"]}} ins(%b, %sb : tensor<2x128x3x128x{e}>, tensor<2x3xf32>) outs(%y : tensor<2x128x3x128xf32>) {{
  ^bb0(%code: {e}, %scale: f32, %out: f32):
    %wide = arith.extf %code : {e} to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  }} -> tensor<2x128x3x128xf32>
  %left = tensor.collapse_shape %0 [[0], [1, 2]] : tensor<?x3x128xf32> into tensor<?x384xf32>
  %right = tensor.collapse_shape %1 [[0, 1], [2, 3]] : tensor<2x128x3x128xf32> into tensor<256x384xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<?x256xf32>) -> tensor<?x256xf32>
  %c = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%left, %right : tensor<?x384xf32>, tensor<256x384xf32>) outs(%f : tensor<?x256xf32>) -> tensor<?x256xf32>
  return %c : tensor<?x256xf32>
}}
""", "f8E5M2": """
func.func @tensors_{e}(%a: tensor<61x199x{e}>, %sa: tensor<61xf32>, %b: tensor<67x199x{e}>, %sb: tensor<f32>) -> tensor<61x67xf32> {{
  %zero = arith.constant 0.0 : f32
  %x = tensor.empty() : tensor<61x199xf32>
  %y = tensor.empty() : tensor<67x199xf32>
  %t = tensor.empty() : tensor<61x67xf32>
  %0 = linalg.generic {{indexing_maps = [affine_map<(i, k) -> (i, k)>, affine_map<(i, k) -> (i)>, affine_map<(i, k) -> (i, k)>],
                       iterator_types = ["parallel", "parallel"]}} ins(%a, %sa : tensor<61x199x{e}>, tensor<61xf32>) outs(%x : tensor<61x199xf32>) {{
  ^bb0(%code: {e}, %scale: f32, %out: f32):
    %wide = arith.extf %code : {e} to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  }} -> tensor<61x199xf32>
  %1 = linalg.generic {{indexing_maps = [affine_map<(i, k) -> (i, k)>, affine_map<(i, k) -> ()>, affine_map<(i, k) -> (i, k)>],
                       iterator_types = ["parallel", "parallel"]}} ins(%b, %sb : tensor<67x199x{e}>, tensor<f32>) outs(%y : tensor<67x199xf32>) {{
  ^bb0(%code: {e}, %scale: f32, %out: f32):
    %wide = arith.extf %code : {e} to f32
    %v = arith.mulf %wide, %scale : f32
    linalg.yield %v : f32
  }} -> tensor<67x199xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<61x67xf32>) -> tensor<61x67xf32>
  %c = linalg.matmul indexing_maps = [affine_map<(i, j, k) -> (i, k)>, affine_map<(i, j, k) -> (j, k)>, affine_map<(i, j, k) -> (i, j)>]
      ins(%0, %1 : tensor<61x199xf32>, tensor<67x199xf32>) outs(%f : tensor<61x67xf32>) -> tensor<61x67xf32>
  return %c : tensor<61x67xf32>
}}
"""}


def check_none(program, e, table, device, numbers):
    """Codes that are no number, or infinite: what a row or a column of them gives is so, and nothing else."""
    a, b = (numbers.choice(np.flatnonzero(abs(table) < 1e3), shape).astype(np.uint8) for shape in ((67, 199), (199, 61)))
    none, infinite = np.flatnonzero(np.isnan(table)), np.flatnonzero(np.isinf(table))
    a[3, 7], a[5, 131], b[198, 2] = none[0], none[-1], none[-1]
    a[23, 17] = 0  # times infinity
    for i, code in enumerate(infinite):  # of both signs: together they are no number
        a[11 + 2 * i, 17], a[19, 101 + i], b[17, 13 + 2 * i] = code, code, code
    with np.errstate(invalid="ignore"):
        wanted = (table[a][:, :, None] * table[b][None]).sum(1)  # by definition: libraries skip zeros
        bound = (abs(table[a])[:, :, None] * abs(table[b])[None]).sum(1) * 199 * 2.0**-24 + 1e-30
    got = only(program.call(f"product_{e}", a, b)).astype(np.float64)
    finite = np.isfinite(wanted)
    expect(np.array_equal(np.isnan(got), np.isnan(wanted)) and np.array_equal(got[np.isinf(wanted)], wanted[np.isinf(wanted)])
           and bool((abs(got[finite] - wanted[finite]) <= bound[finite]).all()) and len(infinite) == (2 if e == "f8E5M2" else 0),
           f"fp8: products of codes of {e} that are no numbers on {device}: {np.argwhere(np.isnan(got) != np.isnan(wanted))[:3]}")


def check_eights(folder):
    """fp8: every code of both types, as an argument, a factor and a result."""
    elements = ("f8E4M3FN", "f8E5M2")
    devices = ("emulated:sm_90a", "emulated:gfx942", DEVICES[2], "cpu")
    artifact, said = compile_text(folder, "eights", "".join((EIGHTS + SCALED[e]).format(e=e) for e in elements), f"--target={','.join(devices)}")
    if not artifact:
        return expect(False, f"fp8: expects to compile, but: {said}")
    shown = subprocess.run([COMPILE, os.path.join(folder, "eights.mlir"), "--target=emulated:sm_90a", "--compile-to=packing"],
                           capture_output=True, text=True).stdout
    launched = sorted(re.findall(r"tile\.launch @(\w*)", shown))
    expect(launched == sorted(name for e in elements for name in (
        *[f"scaled_matmul_128x128_{e}_f32"] * 3, f"scaled_matmul_64x128_{e}_f32", f"matmul_128x128_transposed_{e}_f32", f"matmul_128x128_transposed_{e}_f32_fused",
        f"scaled_matmul_{'128x128' if e == 'f8E4M3FN' else '64x128'}_{e}_f32")), f"fp8: launches of {launched}")
    numbers = np.random.default_rng(SEED + 6)
    codes = np.arange(256, dtype=np.uint8)
    same = lambda x, y: bool(np.array_equal(x, y, equal_nan=True))
    for device in devices:
        program = stepdown.Program.load(artifact, device=device)
        for e in elements:
            table = eights(e)
            single, double, bf16 = program.call(f"wide_{e}", codes)
            expect(same(single.astype(np.float64), table) and same(double, table) and same(from_bf16(bf16), table), f"fp8: {e} widened on {device}")
            single, moved, fixed = program.call(f"moved_{e}", codes[7], codes, np.array(131))
            expect(single == 131 and moved[131] == 7 and same(np.delete(moved, 131), np.delete(codes, 131)) and same(table[fixed], [1, -0.25, 0.5]),
                   f"fp8: {e} moved on {device}: {single}, {moved[131]}, {fixed}")
            finite = np.sort(table[np.isfinite(table)])
            between = (finite[1:] + finite[:-1]) / 2
            with np.errstate(invalid="ignore"):
                x = np.concatenate([between, np.nextafter(np.float32(between), np.float32(np.inf)), np.nextafter(np.float32(between), np.float32(-np.inf)),
                                    table, numbers.normal(0, 1, 997) * 2.0 ** numbers.integers(-20, 20, 997), [1e38, -1e38, 2.0**-30, 464, 465, 61439, 61440, 1e-45]]).astype(np.float32)
            y = np.concatenate([between * (1 + 2.0**-50), between * (1 - 2.0**-50), x])
            for got, given in zip(program.call(f"narrow_{e}", x, y[: len(x)]), (x.astype(np.float64), y[: len(x)])):
                wanted = nearest_eight(given, e)
                expect(got.dtype == np.uint8 and same(table[got], table[wanted]) and bool((got >> 7 == wanted >> 7)[~np.isnan(given)].all()),
                       f"fp8: numbers rounded to {e} on {device}: {given[~((table[got] == table[wanted]) | np.isnan(table[wanted]))][:3]}")
            drawn = codes[np.isfinite(table)]
            for rows in (1, 131):
                a, b = (numbers.permutation(np.resize(drawn, n * k)).reshape(n, k) for n, k in ((rows, 199), (199, 61)))
                got = only(program.call(f"product_{e}", a, b))
                bound = abs(table[a]) @ abs(table[b]) * 199 * 2.0**-24 + 1e-30
                worst = float((abs(got - table[a] @ table[b]) / bound).max())
                expect(got.shape == (rows, 61) and worst <= 1, f"fp8: product of {rows} rows of {e} on {device}: {worst:.2f} of the bound")
            for rows, k in ((61, 0), (1, 1), (67, 128), (7, 129), (131, 257)):  # sums whose length the call tells
                a, b = (numbers.permutation(np.resize(drawn, n * k)).reshape(shape) for n, shape in ((rows, (rows, k)), (61, (k, 61))))
                got = only(program.call(f"later_{e}", a, b))
                within = abs(got - table[a] @ table[b]) <= abs(table[a]) @ abs(table[b]) * k * 2.0**-24 + 1e-30
                expect(got.shape == (rows, 61) and bool(within.all()), f"fp8: product over {k} columns of {e}, known later, on {device}")
            # Few tiles of a long sum, which AMD's blocks share out.
            a, b = (numbers.permutation(np.resize(drawn, n * 4099)).reshape(n, 4099) for n in (61, 67))
            worst = float((abs(only(program.call(f"long_{e}", a, b)) - table[a] @ table[b].T) / (abs(table[a]) @ abs(table[b]).T * 4099 * 2.0**-24)).max())
            expect(worst <= 1, f"fp8: product over 4099 columns of {e} on {device}: {worst:.2f} of the bound")
            for n in (1, 3):
                given = [numbers.permutation(np.resize(drawn, n * r * c)).reshape(n, r, c) for r, c in ((67, 131), (131, 61), (67, 127), (61, 127))]
                values = [table[x] for x in given]
                values[3] = values[3].transpose(0, 2, 1)
                for got, x, y in zip(program.call(f"batches_{e}", *given), values[::2], values[1::2]):
                    within = abs(got - x @ y) <= abs(x) @ abs(y) * 131 * 2.0**-24 + 1e-30
                    expect(got.shape == (n, 67, 61) and bool(within.all()), f"fp8: {n} products over {x.shape[2]} columns of {e} on {device}")
            check_none(program, e, table, device, numbers)
            a, b = (numbers.permutation(np.resize(drawn, n * 127)).reshape(n, 127) for n in (67, 31))
            rows, columns = numbers.uniform(0.5, 2, 67).astype(np.float32), numbers.uniform(-2, 2, 31).astype(np.float32)
            scale = rows.astype(np.float64)[:, None] * columns
            got = only(program.call(f"scaled_{e}", a, b, rows, columns))
            bound = abs(table[a]) @ abs(table[b]).T * abs(scale) * 134 * 2.0**-24 + 1e-30
            worst = float((abs(got - table[a] @ table[b].T * scale) / bound).max())
            expect(worst <= 1, f"fp8: scaled product of {e} on {device}: {worst:.2f} of the bound")
            name, m, n, k = ("blocks", 67, 256, 384) if e == "f8E4M3FN" else ("tensors", 61, 67, 199)
            a, b = (numbers.permutation(np.resize(drawn, size * k)).reshape(size, k) for size in (m, n))
            sa, sb = ((numbers.uniform(0.5, 2, shape).astype(np.float32) for shape in ((m, 3), (2, 3))) if name == "blocks"
                      else (numbers.uniform(0.5, 2, m).astype(np.float32), np.array(0.75, np.float32)))
            left = table[a] * (sa.repeat(128, 1) if name == "blocks" else sa[:, None])
            right = table[b] * (sb.repeat(128, 0).repeat(128, 1) if name == "blocks" else sb)
            given = (a.reshape(m, 3, 128), sa, b.reshape(2, 128, 3, 128), sb) if name == "blocks" else (a, sa, b, sb)
            got = only(program.call(f"{name}_{e}", *given))
            worst = float((abs(got - left @ right.T) / (abs(left) @ abs(right).T * (k + 4) * 2.0**-24 + 1e-30)).max())
            expect(worst <= 1, f"fp8: product of {e} with scales of {name} on {device}: {worst:.2f} of the bound")
