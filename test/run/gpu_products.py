"""Products of 16 and 32 bits and of int8 on emulated GPUs: every form of them, sums in shares, and what is done with their
elements."""
import os, re, subprocess

import numpy as np

from gpu_case import COMPILE, DEVICES, SEED, SIZES, UNTILED, compile_text, expect, from_bf16, only, rounded, stepdown, taken


def product(name, m, n, k, element, result, rows="?"):
    left, out = f"tensor<{rows if rows == '?' else m}x{k}x{element}>", f"tensor<{rows if rows == '?' else m}x{n}x{result}>"
    empty = f"tensor.empty({'%rows' if rows == '?' else ''}) : {out}"
    return f"""
func.func @{name}(%a: {left}, %b: tensor<{k}x{n}x{element}>) -> {out} {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant {'0' if result == 'i32' else '0.0'} : {result}
  %rows = tensor.dim %a, %c0 : {left}
  %e = {empty}
  %f = linalg.fill ins(%zero : {result}) outs(%e : {out}) -> {out}
  %c = linalg.matmul ins(%a, %b : {left}, tensor<{k}x{n}x{element}>) outs(%f : {out}) -> {out}
  return %c : {out}
}}
"""


def check_products(folder, draw):
    cases, text = [], ""
    # bf16, f16 and i8 go to tile kernels; f32 is computed by a thread an element.
    for i in range(9):
        element, result = draw.choice((("bf16", "f32"), ("bf16", "bf16"), ("f16", "f32"), ("f32", "f32"))) if i else ("i8", "i32")
        m, n, k = (draw.choice(SIZES) for _ in range(3))
        cases.append((f"p{i}", m, n, k, element, result))
        text += product(*cases[-1], rows=draw.choice("?m"))
    artifact, said = compile_text(folder, "products", text)
    if not artifact:
        return expect(False, f"products: expects to compile, but: {said}")
    numbers = np.random.default_rng(SEED)
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for name, m, n, k, element, result in cases:
            a, b = numbers.uniform(-1, 1, (m, k)).astype(np.float32), numbers.uniform(-1, 1, (k, n)).astype(np.float32)
            if element == "i8":
                a, b = numbers.integers(-128, 128, (m, k)).astype(np.int8), numbers.integers(-128, 128, (k, n)).astype(np.int8)
            given, exact = (a, b), (a.astype(np.float64), b.astype(np.float64))
            if element not in ("f32", "i8"):
                given, exact = zip(rounded(a, element), rounded(b, element))
                exact = [taken(x, element, device) for x in exact]
            got = only(program.call(name, *given))
            got = from_bf16(got) if result == "bf16" else got.astype(np.float64)
            bound = (abs(exact[0]) @ abs(exact[1])) * k * 2.0**-24 + 1e-30
            wanted = exact[0] @ exact[1]
            if result == "i32":  # exact, in float64 as well
                bound = bound * 0 + 0.5
            if result == "bf16" and device in UNTILED:  # adds in bf16, as linalg.matmul says
                bound = abs(exact[0]) @ abs(exact[1]) * k * 2.0**-8
            elif result == "bf16":
                bound = bound + (abs(wanted) + bound) * 2.0**-8
            worst = float((abs(got - wanted) / bound).max())
            expect(got.shape == (m, n) and worst <= 1, f"{name}: {m}x{n}x{k} {element} to {result} on {device}: "
                   f"{worst:.2f} of the bound")


# Few tiles of a long sum: what blocks of a chip would leave idle is shared out along k. Sums, sizes, elements, and what is
# done behind the product, which is no part of the kernel then.
SHARES = (("s0", 61, 67, 1031, "f16", "f32", 2, "relu"), ("s1", 1, 3, 4099, "bf16", "bf16", 8, ""),
          ("s2", 67, 31, 2053, "bf16", "bf16", 4, "adds"))


def shared_product(name, m, n, k, element, result, shares, behind):
    out, b = f"tensor<{m}x{n}x{result}>", f"tensor<{k}x{n}x{element}>"
    first = f"%f = linalg.fill ins(%zero : {result}) outs(%c : {out}) -> {out}" if behind != "adds" else ""
    last = f"%r = arith.maximumf %p, %f : {out}" if behind == "relu" else ""
    return f"""
func.func @{name}(%a: tensor<{m}x{k}x{element}>, %b: {b}, %c: {out}) -> {out} {{
  %zero = arith.constant 0.0 : {result}
  {first}
  %p = linalg.matmul ins(%a, %b : tensor<{m}x{k}x{element}>, {b}) outs({'%f' if first else '%c'} : {out}) -> {out}
  {last}
  return {'%r' if last else '%p'} : {out}
}}
"""


def check_shares(folder):
    devices = ("emulated:sm_90a", DEVICES[2])
    source, artifact = (os.path.join(folder, "shares" + suffix) for suffix in (".mlir", ".stepdown"))
    with open(source, "w", encoding="utf-8") as file:
        file.write("".join(shared_product(*case) for case in SHARES))
    for options in (("-o", artifact, f"--target={','.join(devices)}"), (f"--target={devices[0]}", "--explain")):  # of one road
        done = subprocess.run([COMPILE, source, *options], capture_output=True, text=True)
        if done.returncode:
            return expect(False, f"shares: expects to compile with {options}, but: {done.stderr}")
    explained = re.split(r"(?m)^@", done.stdout)[1:]
    expect(len(explained) == len(SHARES), f"shares: expects {len(SHARES)} functions explained, but got {done.stdout}")
    for told, (name, m, n, k, element, result, shares, behind) in zip(explained, SHARES):  # the sums of all shares are float32
        expect(re.search(rf"^{name}\n(.*\n)* +scratch +f32 \[{shares * m}, {n}\] +{4 * shares * m * n} ", told), f"{name}: arrays of {told}")
    numbers = np.random.default_rng(SEED + 5)
    last = {"f32": 0, "bf16": 2.0**-8}
    for name, m, n, k, element, result, shares, behind in SHARES:
        made = lambda *shape: rounded(numbers.uniform(-1, 1, shape).astype(np.float32), element)
        (a, a1), (b, b1) = made(m, k), made(k, n)
        start = numbers.uniform(-1, 1, (m, n)).astype(np.float32)
        c, c1 = rounded(start, "bf16") if result == "bf16" else (start, start.astype(np.float64))
        for device in devices:
            x, y = (taken(each, element, device) for each in (a1, b1))
            wanted, size = x @ y, abs(x) @ abs(y)
            if behind == "adds":
                wanted, size = wanted + c1, size + abs(c1)
            wanted = np.maximum(wanted, 0) if behind == "relu" else wanted
            program = stepdown.Program.load(artifact, device=device)
            got = only(program.call(name, a, b, c))
            value = from_bf16(got) if result == "bf16" else got.astype(np.float64)
            bound = size * (k + 9) * 2.0**-24 + abs(wanted) * last[result] * 1.01 + 1e-30
            worst = float((abs(value - wanted) / bound).max())
            expect(value.shape == wanted.shape and worst <= 1, f"{name}: {m}x{n}x{k} in {shares} shares on {device}: {worst:.2f} of the bound")


def forms(name, kind, m, n, k, batch, element, result):
    """A product of another form than linalg.matmul on zeros; every size is known only when it runs."""
    def tensor(*sizes, of=element):
        return "tensor<" + "x".join(["?"] * len(sizes) + [of]) + ">"
    d = {"transposed_b": ("(m, k)", "(n, k)", "(m, n)"), "transposed_a": ("(k, m)", "(k, n)", "(m, n)"),
         "both": ("(k, m)", "(n, k)", "(m, n)"), "adds": ("(m, k)", "(k, n)", "(m, n)"),
         "columns_first": ("(m, k)", "(k, n)", "(n, m)"), "batch": ("(i, m, k)", "(i, k, n)", "(i, m, n)"),
         "batch_transposed": ("(i, m, k)", "(i, n, k)", "(i, m, n)"), "shared": ("(i, m, k)", "(k, n)", "(i, m, n)")}[kind]
    letters = [text.strip("()").split(", ") for text in d]
    sizes = {"i": batch, "m": m, "n": n, "k": k}
    loops = "(i, m, n, k)" if batch else "(m, n, k)"
    a, b, c = (tensor(*l) for l in letters)
    c = tensor(*letters[2], of=result)
    maps = ", ".join(f"affine_map<{loops} -> {text}>" for text in d)
    kinds = ", ".join(['"parallel"'] * (len(loops.split(",")) - 1) + ['"reduction"'])
    first = "" if kind == "adds" else f"""
  %zero = arith.constant 0.0 : {result}
  %start = linalg.fill ins(%zero : {result}) outs(%c : {c}) -> {c}"""
    text = f"""
func.func @{name}(%a: {a}, %b: {b}, %c: {c}) -> {c} {{{first}
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} ins(%a, %b : {a}, {b}) outs({'%c' if kind == 'adds' else '%start'} : {c}) {{
  ^bb0(%p: {element}, %q: {element}, %s: {result}):
    {'' if result == element else f'%x = arith.extf %p : {element} to f32'}
    {'' if result == element else f'%y = arith.extf %q : {element} to f32'}
    %t = arith.mulf {'%p, %q' if result == element else '%x, %y'} : {result}
    %u = arith.addf %s, %t : {result}
    linalg.yield %u : {result}
  }} -> {c}
  return %r : {c}
}}
"""
    rule = ",".join("".join(l) for l in letters[:2]) + "->" + "".join(letters[2])
    return text, [[sizes[x] for x in l] for l in letters], rule


def check_forms(folder, draw):
    cases, text = [], ""
    kinds = ["transposed_b", "transposed_a", "both", "adds", "columns_first", "batch", "batch_transposed", "shared"]
    for i, kind in enumerate(kinds):
        element, result = draw.choice((("bf16", "f32"), ("bf16", "bf16"), ("f16", "f32"), ("f16", "f16")))
        m, n, k = (draw.choice(SIZES) for _ in range(3))
        if i == draw.randrange(len(kinds)):
            k = 0  # a product of nothing
        batch = draw.choice((1, 2, 3)) if kind.startswith("batch") or kind == "shared" else 0
        made, shapes, rule = forms(f"f{i}", kind, m, n, k, batch, element, result)
        cases.append((f"f{i}", kind, k, element, result, shapes, rule))
        text += made
    artifact, said = compile_text(folder, "forms", text)
    if not artifact:
        return expect(False, f"forms: expects to compile, but: {said}")
    shown = subprocess.run([COMPILE, os.path.join(folder, "forms.mlir"), "--target=emulated:sm_90a",
                            "--compile-to=packing"], capture_output=True, text=True).stdout
    expect(shown.count("tile.launch @matmul") == len(kinds), f"forms: {shown.count('tile.launch @matmul')} launches")
    numbers = np.random.default_rng(SEED + 2)
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for name, kind, k, element, result, shapes, rule in cases:
            given, exact = zip(*(rounded(numbers.uniform(-1, 1, shape).astype(np.float32), element) for shape in shapes[:2]))
            exact = [taken(x, element, device) for x in exact]
            start = numbers.uniform(-1, 1, shapes[2]).astype(np.float32)
            first, exact_first = (start, start.astype(np.float64)) if result == "f32" else rounded(start, result)
            got = only(program.call(name, *given, first))
            got = from_bf16(got) if result == "bf16" else got.astype(np.float64)
            wanted, size = (np.einsum(rule, *values) for values in (exact, [abs(x) for x in exact]))
            if kind == "adds":
                wanted, size = wanted + exact_first, size + abs(exact_first)
            last = {"f32": 0, "bf16": 2.0**-8, "f16": 2.0**-11}[result]
            # On the processor, and on threads, sums of 16 bits are sums of 16 bits.
            bound = size * (k + 2) * (last if device in UNTILED and last else 2.0**-24) + abs(wanted) * 2 * last + 2.0**-24
            worst = float((abs(got - wanted) / bound).max(initial=0))
            expect(got.shape == wanted.shape and worst <= 1, f"{name}: {kind} {shapes} {element} to {result} on {device}: "
                   f"{worst:.2f} of the bound")


EPILOGUE = """
#rows = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (j)>
#column = affine_map<(i, j) -> (i)>
func.func @{name}(%x: tensor<?x?x{element}>, %w: tensor<67x?x{element}>, %bias: tensor<?x{other}>, %scale: tensor<?xf32>, %r: tensor<?x?x{other}>) -> tensor<?x?x{result}> {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %half = arith.constant 0.5 : f32
  %cubic = arith.constant 0.044715 : f32
  %root = arith.constant 0.797884561 : f32
  %s = tensor.cast %x : tensor<?x?x{element}> to tensor<?x67x{element}>
  %m = tensor.dim %x, %c0 : tensor<?x?x{element}>
  %n = tensor.dim %w, %c1 : tensor<67x?x{element}>
  %e = tensor.empty(%m, %n) : tensor<?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %p = linalg.matmul ins(%s, %w : tensor<?x67x{element}>, tensor<67x?x{element}>) outs(%f : tensor<?x?xf32>) -> tensor<?x?xf32>
  %o = tensor.empty(%m, %n) : tensor<?x?x{result}>
  %y = linalg.generic {{indexing_maps = [#rows, #row, #column, #rows, #rows], iterator_types = ["parallel", "parallel"]}}
      ins(%p, %bias, %scale, %r : tensor<?x?xf32>, tensor<?x{other}>, tensor<?xf32>, tensor<?x?x{other}>) outs(%o : tensor<?x?x{result}>) {{
  ^bb0(%v: f32, %b0: {other}, %c: f32, %d0: {other}, %out: {result}):
    {wide}
    %scaled = arith.mulf %v, %c : f32
    %u = arith.addf %scaled, %b : f32
    {body}
    %g = arith.addf %a, %d : f32
    {last}
  }} -> tensor<?x?x{result}>
  return %y : tensor<?x?x{result}>
}}
"""
BODIES = {
    "identity": "%a = arith.mulf %u, %one : f32",
    "relu": "%a = arith.maximumf %u, %zero : f32",
    "silu": "%t = arith.negf %u : f32\n %h = math.exp %t : f32\n %k = arith.addf %h, %one : f32\n %a = arith.divf %u, %k : f32",
    "gelu": "%q = arith.mulf %u, %u : f32\n %t = arith.mulf %q, %cubic : f32\n %h = math.fma %t, %u, %u : f32\n"
            "%k = arith.mulf %h, %root : f32\n %l = math.tanh %k : f32\n %j = arith.addf %one, %l : f32\n"
            "%w1 = arith.mulf %u, %half : f32\n %a = arith.mulf %w1, %j : f32",
}
ACTIVATIONS = {"identity": lambda u: u, "relu": lambda u: np.maximum(u, 0), "silu": lambda u: u / (1 + np.exp(-u)),
               "gelu": lambda u: u / 2 * (1 + np.tanh(np.float64(np.float32(0.797884561)) * (u + 0.044715 * u**3)))}


def check_epilogues(folder, draw):
    cases = []
    for i, (body, result) in enumerate((("identity", "f32"), ("relu", "f32"), ("silu", "bf16"), ("gelu", "f16"))):
        cases.append((f"e{i}", body, draw.choice(("bf16", "f16")), draw.choice(("f32", "bf16")), result))
    text = ""
    for name, body, element, other, result in cases:
        narrow = other != "f32"
        wide = "\n".join(f"%{x} = " + (f"arith.extf %{x}0 : {other} to f32" if narrow else f"arith.addf %{x}0, %zero : f32")
                         for x in "bd")
        last = "linalg.yield %g : f32" if result == "f32" else (
            f"%z = arith.truncf %g : f32 to {result}\n linalg.yield %z : {result}")
        text += EPILOGUE.format(name=name, element=element, other=other, result=result, wide=wide, body=BODIES[body],
                                last=last).replace("#rows", f"#rows{name}").replace("#row =", f"#row{name} =").replace(
            "#row,", f"#row{name},").replace("#column", f"#column{name}")
    artifact, said = compile_text(folder, "epilogues", text)
    if not artifact:
        return expect(False, f"epilogues: expects to compile, but: {said}")
    shown = subprocess.run([COMPILE, os.path.join(folder, "epilogues.mlir"), "--target=emulated:sm_90a",
                            "--compile-to=packing"], capture_output=True, text=True).stdout
    fused = len(re.findall(r"tile\.launch @matmul\w*_fused", shown))
    expect(fused == len(cases), f"epilogues: {fused} fused launches")
    numbers = np.random.default_rng(SEED + 4)
    digits = {"f32": 2.0**-24, "bf16": 2.0**-8, "f16": 2.0**-11}
    for device in DEVICES:
        program = stepdown.Program.load(artifact, device=device)
        for name, body, element, other, result in cases:
            m, n = draw.choice(SIZES), draw.choice(SIZES)
            make = lambda *shape: numbers.uniform(-1, 1, shape).astype(np.float32)
            (x, x1), (w, w1) = rounded(make(m, 67), element), rounded(make(67, n), element)
            x1, w1 = taken(x1, element, device), taken(w1, element, device)
            plain = lambda values: (values, values.astype(np.float64)) if other == "f32" else rounded(values, other)
            (bias, bias1), (r, r1), scale = plain(make(n)), plain(make(m, n)), make(m)
            got = only(program.call(name, x, w, bias, scale, r))
            got = from_bf16(got) if result == "bf16" else got.astype(np.float64)
            u = (x1 @ w1) * scale[:, None] + bias1
            size = (abs(x1) @ abs(w1)) * abs(scale[:, None]) + abs(bias1)
            wanted = ACTIVATIONS[body](u) + r1
            # No slope of an activation is above 1.13; functions of the special unit are off by a few units of float32.
            bound = 1.13 * size * 70 * 2.0**-24 + (abs(u) + 1) * 2.0**-20 + abs(wanted) * digits[result] + 2.0**-22
            worst = float((abs(got - wanted) / bound).max(initial=0))
            expect(got.shape == wanted.shape and worst <= 1, f"{name}: {body} of {m}x{n}, {element} and {other} to {result} on "
                   f"{device}: {worst:.2f} of the bound")
