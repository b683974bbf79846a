"""tensor, scf, affine and func on every element type: where elements go, and what branches and loops compute."""
import numpy as np

from operation_case import Program, Structured
from operation_elements import BF16, ELEMENTS, F16, F32, F64, I1, I16, I32, I64, INDEX, array, values
from operation_linalg import small, tensor

SHAPE = (3, 5)


def both(name, e, text, arguments, expected, result=None, shape=None):
    """`text` with {x}, {X} ... for operands and types, static and dynamic; {out} is the result's type."""
    result, made = result or e, Structured(name, e, [], [], [], [], [])
    for dynamic in (False, True):
        tag = "d" if dynamic else "s"
        fields = {"e": e.name, "out": tensor(np.shape(expected), result, dynamic), "r": f"%r{tag}", "v": f"%{tag}v"}
        for letter, (value, kind) in arguments.items():
            scalar = np.ndim(value) == 0
            fields[letter] = f"%{letter}{tag}"
            fields[letter.upper()] = kind.name if scalar else tensor(np.shape(value), kind, dynamic)
            made.arguments.append(f"{fields[letter]}: {fields[letter.upper()]}")
            made.values.append((value, kind))
        if shape:
            fields["out"] = shape(dynamic)
        made.lines.append("  " + text(dynamic).format(**fields))
        made.results.append((f"%r{tag}", fields["out"]))
        made.expected.append((expected, result))
    return made


def moved(e):
    """Operations of tensor that move elements."""
    x, y, v = small(SHAPE, e), small((2, 3), e), small((), e)
    scalar = v.item()
    i, j = np.array(2, object), np.array(3, object)
    same = lambda text: lambda dynamic: text  # noqa: E731
    yield both("tensor.extract_slice", e, same("{r} = tensor.extract_slice {x}[1, {j}] [2, 1] [1, 1] : {X} to tensor<2x1x{e}>"),
               {"x": (x, e), "j": (j, INDEX)}, x[1:3, 3:4], shape=lambda d: f"tensor<2x1x{e.name}>")
    strided = x.copy()
    strided[0:3:2, 1:4] = y
    put = lambda d: "[{i}, {j}]" if d else "[2, 3]"  # noqa: E731
    yield both("tensor.insert_slice", e, lambda d: ("{r} = tensor.insert_slice {y} into {x}[0, 1] " + put(d) + " [2, 1] : {Y} into {X}"),
               {"x": (x, e), "y": (y, e), "i": (i, INDEX), "j": (j, INDEX)}, strided)
    yield both("tensor.extract", e, same("{v} = tensor.extract {x}[{i}, {j}] : {X}\n  {r} = tensor.from_elements {v} : tensor<1x{e}>"),
               {"x": (x, e), "i": (i, INDEX), "j": (j, INDEX)}, x[2, 3:4], shape=lambda d: f"tensor<1x{e.name}>")
    placed = x.copy()
    placed[2, 3] = scalar
    yield both("tensor.insert", e, same("{r} = tensor.insert {y} into {x}[{i}, {j}] : {X}"),
               {"x": (x, e), "y": (v, e), "i": (i, INDEX), "j": (j, INDEX)}, placed)
    yield both("tensor.from_elements", e, same("{r} = tensor.from_elements {y}, {z}, {y} : tensor<3x{e}>"),
               {"y": (v, e), "z": (x[0, 0], e)}, np.array([scalar, x[0, 0], scalar], object), shape=lambda d: f"tensor<3x{e.name}>")
    yield both("tensor.splat", e, lambda d: "{r} = tensor.splat {y}" + ("[{i}, {j}]" if d else "") + " : {out}",
               {"y": (v, e), "i": (i, INDEX), "j": (j, INDEX)}, np.broadcast_to(v, (2, 3)))
    yield both("tensor.cast", e, lambda d: "{v} = tensor.cast {x} : {X} to " + ("tensor<3x?x{e}>" if d else "tensor<?x?x{e}>") +
               "\n  {r} = tensor.cast {v} : " + ("tensor<3x?x{e}> to {out}" if d else "tensor<?x?x{e}> to {out}"), {"x": (x, e)}, x)
    more = small((2, 5), e)
    yield both("tensor.concat", e, same("{r} = tensor.concat dim(0) {x}, {z} : ({X}, {Z}) -> {out}"), {"x": (x, e), "z": (more, e)},
               np.concatenate([x, more]))
    yield both("tensor.collapse_shape", e, same("{r} = tensor.collapse_shape {x} [[0, 1]] : {X} into {out}"), {"x": (x, e)},
               x.reshape(15))
    flat = small((15,), e)
    yield both("tensor.expand_shape", e, lambda d: "{r} = tensor.expand_shape {x} [[0, 1]] output_shape [" +
               ("{i}, 5" if d else "3, 5") + "] : {X} into {out}", {"x": (flat, e), "i": (np.array(3, object), INDEX)},
               flat.reshape(3, 5), shape=lambda d: f"tensor<{'?' if d else 3}x5x{e.name}>")
    yield both("tensor.reshape", e, same("{v} = tensor.from_elements {i}, {j} : tensor<2xindex>\n  {r} = tensor.reshape {x}({v}) : "
                "({X}, tensor<2xindex>) -> {out}"), {"x": (flat, e), "i": (np.array(5, object), INDEX), "j": (j, INDEX)},
               flat.reshape(5, 3))
    edge = np.full((6, 6), scalar, object)
    edge[1:4, 0:5] = x
    yield both("tensor.pad", e, same("{r} = tensor.pad {x} low[1, 0] high[{i}, 1] {{ ^bb0(%i: index, %j: index): tensor.yield {y} : "
               "{e} }} : {X} to {out}"), {"x": (x, e), "y": (v, e), "i": (i, INDEX)}, edge,
               shape=lambda d: f"tensor<?x{'?' if d else 6}x{e.name}>")
    yield both("tensor.generate", e, lambda d: "{r} = tensor.generate" + (" {i}, {j}" if d else "") +
               " {{ ^bb0(%i: index, %j: index): %w = tensor.extract {x}[%i, %j] : {X} tensor.yield %w : {e} }} : {out}",
               {"x": (x, e), "i": (i, INDEX), "j": (j, INDEX)}, x[:2, :3])
    yield both("tensor.dim", e, same("{v}k = arith.constant 1 : index\n  {v} = tensor.dim {x}, {v}k : {X}\n"
               "  {r} = tensor.from_elements {v} : tensor<1xindex>"), {"x": (x, e)}, np.array([5], object), INDEX,
               shape=lambda d: "tensor<1xindex>")
    yield both("tensor.rank", e, same("{v} = tensor.rank {x} : {X}\n  {r} = tensor.from_elements {v} : tensor<1xindex>"), {"x": (x, e)},
               np.array([2], object), INDEX, shape=lambda d: "tensor<1xindex>")


def bitcasts():
    for e, r in ((F16, I16), (I16, F16), (BF16, I16), (I16, BF16), (F32, I32), (I32, F32), (F64, I64), (I64, F64), (F16, BF16),
                 (BF16, F16)):
        x = small(SHAPE, e, 0 if not e.is_float else -2)
        flat = array(e, x.ravel().tolist())
        want = np.array(values(r, flat.view(r.dtype)), object).reshape(SHAPE)
        yield both("tensor.bitcast", e, lambda d: "{r} = tensor.bitcast {x} : {X} to {out}", {"x": (x, e)}, want, r)


def packed():
    """Tiles that divide and that do not, known and not, the outer dimensions in order and exchanged."""
    for e in ELEMENTS:
        x, v = small((5, 7), e), small((), e)
        padded = np.full((6, 9), v.item(), object)
        padded[:5, :7] = x
        tiles = padded.reshape(3, 2, 3, 3).transpose(2, 0, 3, 1)  # columns' tiles of 3, rows' of 2: outer exchanged
        text = ("{r} = linalg.pack {x} padding_value({v0} : {e}) outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = "
                "[%s, %s] into {t} : {X} -> {T}").replace("{v0}", "{y}")
        for a, b in (("3", "2"), ("{i}", "{j}")):
            shape = (lambda d, k=a: "tensor<" + ("?x?x" if d else "3x3x") + ("3x2x" if k == "3" else "?x?x") + f"{e.name}>")
            case = both("linalg.pack", e, lambda d, a=a, b=b: text % (a, b), {"x": (x, e), "y": (v, e), "t": (np.zeros_like(tiles), e),
                        "i": (np.array(3, object), INDEX), "j": (np.array(2, object), INDEX)}, tiles, shape=shape)
            yield retyped(case, "t", shape)
            back = both("linalg.unpack", e, lambda d, a=a, b=b: (
                "{r} = linalg.unpack {t} outer_dims_perm = [1, 0] inner_dims_pos = [1, 0] inner_tiles = [%s, %s] into {x} : {T} -> {X}"
                % (a, b)), {"x": (np.zeros_like(x), e), "t": (tiles, e), "i": (np.array(3, object), INDEX),
                            "j": (np.array(2, object), INDEX)}, padded[:5, :7])
            yield retyped(back, "t", shape)


def retyped(case, letter, shape):
    """The operand `letter` with types of its own, since tiles that are known stay so when sizes are not."""
    for tag, dynamic in (("s", False), ("d", True)):
        at = next(k for k, argument in enumerate(case.arguments) if argument.startswith(f"%{letter}{tag}:"))
        before, after = case.arguments[at].split(": ")[1], shape(dynamic)
        case.arguments[at] = f"%{letter}{tag}: {after}"
        k = 1 if dynamic else 0
        case.lines[k] = case.lines[k].replace(before, after)
    return case


def zeros(e):
    return "false" if e is I1 else f"0.0 : {e.name}" if e.is_float else f"0 : {e.name}"


def loops(e):
    """Branches and loops that carry numbers of `e` and tensors of them."""
    add = "arith.addf" if e.is_float else "arith.xori" if e is I1 else "arith.addi"
    x = small((7,), e)
    total = np.logical_xor.reduce(x.astype(bool)) if e is I1 else sum(x.tolist())
    head = "%c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n  %z = arith.constant " + zeros(e)
    T, E = f"tensor<?x{e.name}>", e.name
    n = "%n = tensor.dim %x, %c0 : " + T

    def program(name, body, expected, arguments=None, types=None):
        types = types or f"%x: {T}"
        text = f"func.func @f({types}) -> {E} {{\n  {head}\n  {body}\n  return %r : {E}\n}}"
        given = [array(e, x.tolist())] if arguments is None else arguments
        return Program(name, text, given, [array(e, [expected]).reshape(())], e)

    step = f"%v = tensor.extract %x[%i] : {T}\n    %s = {add} %a, %v : {E}"
    yield program("scf.for", f"""{n}
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%a = %z) -> ({E}) {{
    {step}
    scf.yield %s : {E}
  }}""", total)
    yield program("scf.while", f"""{n}
  %end, %r = scf.while (%i = %c0, %a = %z) : (index, {E}) -> (index, {E}) {{
    %more = arith.cmpi slt, %i, %n : index
    scf.condition(%more) %i, %a : index, {E}
  }} do {{
  ^bb0(%i: index, %a: {E}):
    {step}
    %next = arith.addi %i, %c1 : index
    scf.yield %next, %s : index, {E}
  }}""", total)
    yield program("affine.for", f"""{n}
  %r = affine.for %i = 0 to %n iter_args(%a = %z) -> ({E}) {{
    {step}
    affine.yield %s : {E}
  }}""", total)
    for flag in (True, False):
        yield program("scf.if", f"""%r = scf.if %p -> ({E}) {{
    %v = tensor.extract %x[%c1] : {T}
    scf.yield %v : {E}
  }} else {{
    scf.yield %z : {E}
  }}""", x[1] if flag else x[0] - x[0] if e is not I1 else False, [np.bool_(flag), array(e, x.tolist())], f"%p: i1, %x: {T}")
    for which, want in ((0, x[0]), (3, x[3]), (5, x[1])):
        yield program("scf.index_switch", f"""%c3 = arith.constant 3 : index
  %r = scf.index_switch %w -> {E}
  case 0 {{
    %v = tensor.extract %x[%c0] : {T}
    scf.yield %v : {E}
  }}
  case 3 {{
    %v = tensor.extract %x[%c3] : {T}
    scf.yield %v : {E}
  }}
  default {{
    %v = tensor.extract %x[%c1] : {T}
    scf.yield %v : {E}
  }}""", want, [np.int64(which), array(e, x.tolist())], f"%w: index, %x: {T}")
    yield program("scf.execute_region", f"""%r = scf.execute_region -> {E} {{
    %v = tensor.extract %x[%c1] : {T}
    scf.yield %v : {E}
  }}""", x[1])
    for count in (7, 2):
        yield program("affine.if", f"""{n}
  %r = affine.if affine_set<(d0) : (d0 - 5 >= 0)>(%n) -> {E} {{
    %v = tensor.extract %x[%c1] : {T}
    affine.yield %v : {E}
  }} else {{
    %v = tensor.extract %x[%c0] : {T}
    affine.yield %v : {E}
  }}""", x[1] if count == 7 else x[0], [array(e, x.tolist()[:count])])
    text = f"""func.func @f(%x: {T}) -> {T} {{
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : {T}
  %e = tensor.empty(%n) : {T}
  %r = scf.forall (%i) in (%n) shared_outs(%o = %e) -> ({T}) {{
    %v = tensor.extract %x[%i] : {T}
    %s = {add} %v, %v : {E}
    %one = tensor.from_elements %s : tensor<1x{E}>
    scf.forall.in_parallel {{
      tensor.parallel_insert_slice %one into %o[%i] [1] [1] : tensor<1x{E}> into {T}
    }}
  }}
  return %r : {T}
}}"""
    twice = [False] * 7 if e is I1 else [v + v for v in x.tolist()]
    yield Program("scf.forall", text, [array(e, x.tolist())], [array(e, twice)], e)
    inner = "@g_" + e.name
    yield Program("func.call", f"""func.func @f(%x: {T}, %v: {E}) -> ({T}, {E}) {{
  %r:2 = func.call {inner}(%x, %v) : ({T}, {E}) -> ({T}, {E})
  return %r#0, %r#1 : {T}, {E}
}}
func.func private {inner}(%x: {T}, %v: {E}) -> ({T}, {E}) {{
  %s = {add} %x, %x : {T}
  %w = {add} %v, %v : {E}
  return %s, %w : {T}, {E}
}}""", [array(e, x.tolist()), array(e, [x[2]]).reshape(())],
        [array(e, twice), array(e, [twice[2]]).reshape(())], e)


def indices():
    """affine on index: quotients and remainders round down, and numbers may be negative."""
    points = [-8, -7, -1, 0, 1, 5, 6, 41, 42, 43, 1 << 40]
    outer = [[v // 42, v % 42 // 7, v % 7] for v in points]
    for basis, given in (("6, 7", False), ("%b, %c", True), ("9, 6, 7", False)):
        for point, digits in zip(points, outer):
            arguments = [np.int64(point)] + ([np.int64(6), np.int64(7)] if given else [])
            yield Program("affine.delinearize_index", f"""
func.func @f(%i: index{', %b: index, %c: index' if given else ''}) -> (index, index, index) {{
  %r:3 = affine.delinearize_index %i into ({basis}) : index, index, index
  return %r#0, %r#1, %r#2 : index, index, index
}}""", arguments, [np.int64(d) for d in digits], INDEX)
    for basis, given in (("6, 7", False), ("%b, %c", True)):
        yield Program("affine.linearize_index", f"""
func.func @f(%i: index, %j: index, %k: index{', %b: index, %c: index' if given else ''}) -> index {{
  %r = affine.linearize_index [%i, %j, %k] by ({basis}) : index
  return %r : index
}}""", [np.int64(v) for v in ((-3, 5, 2, 6, 7) if given else (-3, 5, 2))], [np.int64(-3 * 42 + 5 * 7 + 2)], INDEX)
    yield Program("cf.assert", """
func.func @f(%i: index) -> index {
  %c7 = arith.constant 7 : index
  %less = arith.cmpi slt, %i, %c7 : index
  cf.assert %less, "expects less than 7"
  return %i : index
}""", [np.int64(5)], [np.int64(5)], INDEX)
    for i, j in ((-8, 3), (41, -5), (7, 7)):
        yield Program("affine.apply", """
func.func @f(%i: index, %j: index) -> (index, index, index) {
  %0 = affine.apply affine_map<(a, b) -> (a floordiv 3 + b ceildiv 4 + (a + 2 * b) mod 5)>(%i, %j)
  %1 = affine.min affine_map<(a, b) -> (a + 1, b * 2, 13)>(%i, %j)
  %2 = affine.max affine_map<(a, b) -> (a + 1, b * 2, -13)>(%i, %j)
  return %0, %1, %2 : index, index, index
}""", [np.int64(i), np.int64(j)], [np.int64(i // 3 - (-j // 4) + (i + 2 * j) % 5), np.int64(min(i + 1, j * 2, 13)),
                                   np.int64(max(i + 1, j * 2, -13))], INDEX)


def cases():
    for e in ELEMENTS:
        yield from moved(e)
        yield from loops(e)
    yield from bitcasts()
    yield from packed()
    yield from indices()
