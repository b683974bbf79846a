#!/bin/bash
# MLIR's expansion of asinh and acosh gives infinity for numbers whose results are small.
#
# Calls of math.asinh and math.acosh on float32, with arguments that the compiler cannot see through, are run twice: by
# libm (-convert-math-to-libm), and by the arithmetic that -math-expand-ops puts in their place, as targets without a
# libm want it.
# Expected: the same values but for rounding.
# Seen with MLIR 22.1.8 of Debian's packages: both are log(x + sqrt(x * x +- 1)). Below zero the sum cancels:
# asinh(-3000) is -8.3178 (-8.6995), asinh(-4096) is -inf (-9.0109), and so is all below; asinh(4096) is right. Above
# 1.8e19 the square overflows: asinh(1e20) and acosh(1e20) are inf (46.7449). No diagnostic.
#
#   findings/expanded-asinh-of-minus-4096-is-minus-infinity.sh
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

# EXPRESSION in `%x`, X, what runs before the lowering: prints the value.
evaluate() {
  cat >call.mlir <<MLIR
func.func @called(%x: f32) -> f32 attributes {passthrough = ["noinline"]} {
  %r = $1 : f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $2 : f32
  %r = func.call @called(%x) : (f32) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt call.mlir $3 -convert-math-to-llvm -convert-math-to-libm -convert-scf-to-cf -convert-arith-to-llvm \
    -convert-cf-to-llvm -convert-func-to-llvm -reconcile-unrealized-casts |
    $bin/mlir-runner -O0 -e main -entry-point-result=f32
}
compare() { # NAME EXPRESSION X
  echo "$1: libm $(evaluate "$2" "$3" ""), expanded $(evaluate "$2" "$3" -math-expand-ops)"
}
echo "mlir-22-tools $version"
{
  compare "asinh(-3000)" "math.asinh %x" -3000.0
  compare "asinh(-4096)" "math.asinh %x" -4096.0
  compare "asinh(4096)" "math.asinh %x" 4096.0
  compare "asinh(1e20)" "math.asinh %x" 1.0e20
  compare "acosh(1e20)" "math.acosh %x" 1.0e20
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
asinh(-3000): libm -8.699514e+00, expanded -8.317766e+00
asinh(-4096): libm -9.010913e+00, expanded -INF
asinh(4096): libm 9.010913e+00, expanded 9.010913e+00
asinh(1e20): libm 4.674485e+01, expanded INF
acosh(1e20): libm 4.674485e+01, expanded INF
LINES
echo "as described"
