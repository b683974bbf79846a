"""A module for each entry of lib/Frontend/RefusedOperations.def, and every operation that LLVM's headers declare."""
import importlib.util, os, re, subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
DIALECTS = {"func": "Func", "linalg": "Linalg", "tensor": "Tensor", "arith": "Arith", "math": "Math", "scf": "SCF",
            "affine": "Affine", "cf": "ControlFlow"}


OPERATIONS = {
    "affine.load": "func.func private @f(%m: memref<8xf32>) -> f32 {\n  %0 = affine.load %m[3] : memref<8xf32>\n  return %0 : f32\n}",
    "affine.parallel": "func.func @f() {\n  affine.parallel (%i) = (0) to (3) {\n  }\n  return\n}",
    "affine.prefetch": "func.func private @f(%m: memref<8xf32>) {\n  affine.prefetch %m[3], read, locality<3>, data : memref<8xf32>\n  return\n}",
    "affine.store": "func.func private @f(%m: memref<8xf32>, %v: f32) {\n  affine.store %v, %m[3] : memref<8xf32>\n  return\n}",
    "affine.vector_load": "func.func private @f(%m: memref<8xf32>) {\n  %0 = affine.vector_load %m[3] : memref<8xf32>, vector<2xf32>\n  return\n}",
    "affine.vector_store": "func.func private @f(%m: memref<8xf32>, %v: vector<2xf32>) {\n  affine.vector_store %v, %m[3] : memref<8xf32>, vector<2xf32>\n  return\n}",
    "arith.remf": "func.func @f(%a: f32) -> f32 {\n  %0 = arith.remf %a, %a : f32\n  return %0 : f32\n}",
    "arith.scaling_extf": "func.func private @f(%a: f8E5M2, %s: f8E8M0FNU) -> f32 {\n  %0 = arith.scaling_extf %a, %s : f8E5M2, f8E8M0FNU to f32\n  return %0 : f32\n}",
    "arith.scaling_truncf": "func.func private @f(%a: f32, %s: f8E8M0FNU) -> f8E5M2 {\n  %0 = arith.scaling_truncf %a, %s : f32, f8E8M0FNU to f8E5M2\n  return %0 : f8E5M2\n}",
    "cf.br": "func.func @f() {\n  scf.execute_region {\n    cf.br ^next\n  ^next:\n    scf.yield\n  }\n  return\n}",
    "cf.cond_br": "func.func @f(%p: i1) {\n  scf.execute_region {\n    cf.cond_br %p, ^a, ^a\n  ^a:\n    scf.yield\n  }\n  return\n}",
    "cf.switch": "func.func @f(%w: i32) {\n  scf.execute_region {\n    cf.switch %w : i32, [\n      default: ^a,\n      1: ^a\n    ]\n  ^a:\n    scf.yield\n  }\n  return\n}",
    "func.call_indirect": "func.func private @f(%g: () -> ()) {\n  func.call_indirect %g() : () -> ()\n  return\n}",
    "func.constant": "func.func @f() {\n  %0 = func.constant @f : () -> ()\n  return\n}",
    "scf.parallel": "func.func @f(%n: index) {\n  scf.parallel (%i) = (%n) to (%n) step (%n) {\n  }\n  return\n}",
    "tensor.gather": "func.func @f(%a: tensor<5xf32>, %i: tensor<2x1xindex>) -> tensor<2xf32> {\n  %0 = tensor.gather %a[%i] gather_dims([0]) : (tensor<5xf32>, tensor<2x1xindex>) -> tensor<2xf32>\n  return %0 : tensor<2xf32>\n}",
    "tensor.scatter": "func.func @f(%s: tensor<2xf32>, %a: tensor<5xf32>, %i: tensor<2x1xindex>) -> tensor<5xf32> {\n  %0 = tensor.scatter %s into %a[%i] scatter_dims([0]) unique : (tensor<2xf32>, tensor<5xf32>, tensor<2x1xindex>) -> tensor<5xf32>\n  return %0 : tensor<5xf32>\n}",
}
WITHIN = {"scf.reduce": "scf.parallel", "scf.reduce.return": "scf.parallel"}  # refused with what they belong to
FORMS = {
    "linalg's named operations of index": [
        "func.func @f(%a: tensor<3x3xindex>) -> tensor<3x3xindex> {\n  %0 = linalg.matmul ins(%a, %a : tensor<3x3xindex>, tensor<3x3xindex>) outs(%a : tensor<3x3xindex>) -> tensor<3x3xindex>\n  return %0 : tensor<3x3xindex>\n}"],
    "elementwise linalg operations of floats, as linalg.exp, of integers": [
        "func.func @f(%a: tensor<3xi32>) -> tensor<3xi32> {\n  %0 = linalg.exp ins(%a : tensor<3xi32>) outs(%a : tensor<3xi32>) -> tensor<3xi32>\n  return %0 : tensor<3xi32>\n}"],
    "complex and unsigned numbers, other floats of 8 bits than f8E4M3FN and f8E5M2, floats of 80 and 128 bits, integers of other widths in arrays": [
        f"func.func @f(%a: tensor<3x{t}>) {{\n  return\n}}" for t in ("complex<f32>", "ui8", "f8E4M3FNUZ", "f8E5M2FNUZ", "f8E4M3", "f8E3M4", "f8E8M0FNU", "f80", "f128", "i7", "i128")],
    "arithmetic on f8E4M3FN and f8E5M2": [
        *(f"func.func @f(%a: tensor<3xf8E4M3FN>) -> tensor<3xf8E4M3FN> {{\n  %0 = {op} %a{more} : tensor<3xf8E4M3FN>\n  return %0 : tensor<3xf8E4M3FN>\n}}"
          for op, more in (("arith.addf", ", %a"), ("math.exp", ""))),
        "func.func @f(%a: tensor<3x5xf8E5M2>) -> tensor<3x5xf8E5M2> {\n  %0 = linalg.softmax dimension(1) ins(%a : tensor<3x5xf8E5M2>) outs(%a : tensor<3x5xf8E5M2>) -> tensor<3x5xf8E5M2>\n  return %0 : tensor<3x5xf8E5M2>\n}",
        "func.func @f(%a: f8E5M2, %b: f8E5M2) -> i1 {\n  %0 = arith.cmpf olt, %a, %b : f8E5M2\n  return %0 : i1\n}",
        "func.func @f(%a: f32) -> f8E5M2 {\n  %0 = arith.truncf %a downward : f32 to f8E5M2\n  return %0 : f8E5M2\n}",
        "func.func @f(%a: tensor<3x3xf8E5M2>) -> tensor<3x3xf8E5M2> {\n  %0 = linalg.matmul ins(%a, %a : tensor<3x3xf8E5M2>, tensor<3x3xf8E5M2>) outs(%a : tensor<3x3xf8E5M2>) -> tensor<3x3xf8E5M2>\n  return %0 : tensor<3x3xf8E5M2>\n}"],
    "vectors and memrefs": [f"func.func @f(%a: {t}) {{\n  return\n}}" for t in ("vector<3xf32>", "memref<3xf32>")],
    "tensors without rank, of more than 8 dimensions in a signature, or with an encoding": [
        f"func.func @f(%a: tensor<{t}>) {{\n  return\n}}" for t in ("*xf32", "1x1x1x1x1x1x1x1x1xf32", "3xf32, 1")],
    "recursion, and functions without a body": [
        "func.func @f() {\n  func.call @f() : () -> ()\n  return\n}", "func.func private @g()\nfunc.func @f() {\n  func.call @g() : () -> ()\n  return\n}"],
    "quantised blocks of transformer": ["func.func @f(%a: tensor<3x2x!transformer.block<q4_1>>) {\n  return\n}"],
}


def entries():
    path = os.path.join(HERE, "..", "..", "tools", "operation-docs.py")
    spec = importlib.util.spec_from_file_location("operation_docs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.read_entries()


def declared(include):
    """The operations of the dialects, by the names in LLVM's headers."""
    names = set()
    for dialect, folder in DIALECTS.items():
        path = os.path.join(include, "mlir", "Dialect", folder, "IR")
        for file in sorted(os.listdir(path)) if os.path.isdir(path) else []:
            if file.endswith(".h.inc"):
                with open(os.path.join(path, file), encoding="utf-8") as header:
                    names.update(re.findall(rf'StringLiteral\("({dialect}\.[a-z_0-9.]+)"\)', header.read()))
    return names


def inside(what, listed):
    """`what` with its way out, and what belongs to it, which the compiler may meet first."""
    return [(name, instead) for _, name, _, instead in listed if name == what or WITHIN.get(name) == what]


def problems(compiler, folder, include, computed):
    """Entries that are taken after all or refused without their text, and operations that are neither refused nor computed."""
    found, listed = [], entries()
    expected = set(OPERATIONS) | set(WITHIN) | set(FORMS)
    if expected != {what for _, what, _, _ in listed}:
        found.append(f"expects a module for each entry of the list, but they differ in {expected ^ {e[1] for e in listed}}")
    for named, what, _, instead in listed:
        for text in [OPERATIONS.get(what)] if named else FORMS.get(what, []):
            if text is None:
                continue
            source = os.path.join(folder, "refused.mlir")
            with open(source, "w", encoding="utf-8") as file:
                file.write(text if "@f" in text and "private @f" not in text else text + "\nfunc.func @public() {\n  return\n}\n")
            done = subprocess.run([compiler, source, "-o", source + ".stepdown"], capture_output=True, text=True)
            if done.returncode != 1 or not re.search(r"error E083[34]: .*refused\.mlir:\d+:\d+", done.stderr):
                found.append(f"{what}: expects a refusal with its line, but got {done.returncode}: {done.stderr.strip()[:300]}")
            elif named and not any(f"'{name}'" in done.stderr and way in done.stderr for name, way in inside(what, listed)):
                found.append(f"{what}: expects to be named, with '{instead}', in: {done.stderr.strip()[:300]}")
    names = declared(include) - {"func.return"}  # at the end of every function, where it is written as return
    left = names - computed - {what for named, what, _, _ in listed if named}
    if not names:
        found.append(f"expects headers of MLIR below {include}")
    if left:
        found.append(f"expects every operation to be computed by a case or refused, but neither holds for {sorted(left)}")
    return found, len(names), len([1 for named, *_ in listed if named])
