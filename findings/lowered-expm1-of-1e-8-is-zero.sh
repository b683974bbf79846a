#!/bin/bash
# MLIR's lowering to LLVM makes math.expm1 what the operation is there to avoid: exp(x) - 1.
#
# math.expm1 and math.log1p of a float32 that the compiler cannot see through are lowered by -convert-math-to-llvm, and
# by -convert-math-to-libm alone; and they are folded, with the argument a constant in the same function.
# Expected: 1e-8, but for rounding, each time: the operations exist because 1 + x forgets a small x.
# Seen with MLIR 22.1.8 of Debian's packages: -convert-math-to-llvm gives 0 for both, and -1.000166e-04 for
# expm1(-1e-4), where it is -9.9995e-05. Folded, they are right, and with -convert-math-to-libm first. So a program has
# one result where its argument becomes a constant and another where it does not.
#
#   findings/lowered-expm1-of-1e-8-is-zero.sh
#
# needs Debian's package index with LLVM 22; exits 0 while this is so
set -euo pipefail

version=1:22.1.8-1~deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q "mlir-22-tools=$version" "libmlir-22=$version" "libllvm22=$version" \
  libffi8 libedit2 libz3-4 libxml2 libicu72 libbsd0 libmd0 >/dev/null 2>&1 ||
  { echo "expects mlir-22-tools $version in the package index" >&2; exit 2; }
for package in *.deb; do dpkg-deb -x "$package" root; done
bin=root/usr/lib/llvm-22/bin
export LD_LIBRARY_PATH=$PWD/root/usr/lib/x86_64-linux-gnu:$PWD/root/usr/lib/llvm-22/lib

module() { # OPERATION X ATTRIBUTES
  cat <<MLIR
func.func @called(%x: f32) -> f32 $3 {
  %r = $1 %x : f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $2 : f32
  %r = func.call @called(%x) : (f32) -> f32
  return %r : f32
}
MLIR
}
run() { # PASS...: lowers what it reads and runs it
  $bin/mlir-opt "$@" -convert-math-to-llvm -convert-math-to-libm -convert-arith-to-llvm -convert-func-to-llvm |
    $bin/mlir-runner -O0 -e main -entry-point-result=f32
}
compare() { # OPERATION X
  local whole='attributes {passthrough = ["noinline"]}'
  echo "$1 $2: to LLVM $(module "$1" "$2" "$whole" | run), libm first $(module "$1" "$2" "$whole" |
    run -convert-math-to-libm), folded $(module "$1" "$2" "" | run -inline -canonicalize)"
}
echo "mlir-22-tools $version"
{
  compare math.expm1 1.0e-8
  compare math.expm1 -1.0e-4
  compare math.log1p 1.0e-8
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
math.expm1 1.0e-8: to LLVM 0.000000e+00, libm first 1.000000e-08, folded 1.000000e-08
math.expm1 -1.0e-4: to LLVM -1.000166e-04, libm first -9.999500e-05, folded -9.999500e-05
math.log1p 1.0e-8: to LLVM 0.000000e+00, libm first 1.000000e-08, folded 1.000000e-08
LINES
echo "as described"
