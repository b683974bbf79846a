#!/bin/bash
# MLIR's expansion of math.powf and math.fpowi is not a number for a negative base, whatever the exponent.
#
# Calls on float32, with arguments that the compiler cannot see through, are run twice: as -convert-math-to-llvm and
# -convert-math-to-funcs make them, and by the arithmetic that -math-expand-ops puts in their place first, as targets
# without a libm want it.
# Expected: the same values: (-2)^3 is -8, and everything to the power of 0 is 1, in C, IEEE 754 and the other form.
# Seen with MLIR 22.1.8 of Debian's packages: both become exp(n * log(x)), so a negative base gives nan for every
# exponent, 0 and odd integers as well; fpowi, whose exponents are integers by type, too. 0^0 is nan. No diagnostic.
#
#   findings/expanded-power-of-minus-2-and-3-is-nan.sh
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

# EXPRESSION in `%x` and `%n`, X, N, the type of N, what runs before the lowering: prints the value.
evaluate() {
  cat >call.mlir <<MLIR
func.func @called(%x: f32, %n: $4) -> f32 attributes {passthrough = ["noinline"]} {
  %r = $1
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $2 : f32
  %n = arith.constant $3 : $4
  %r = func.call @called(%x, %n) : (f32, $4) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt call.mlir $5 -convert-math-to-funcs=min-width-of-fpowi-exponent=1 -convert-math-to-llvm \
    -convert-math-to-libm -convert-scf-to-cf -convert-arith-to-llvm -convert-cf-to-llvm -convert-func-to-llvm \
    -reconcile-unrealized-casts | $bin/mlir-runner -O0 -e main -entry-point-result=f32
}

compare() { # NAME EXPRESSION X N TYPE
  echo "$1: $(evaluate "$2" "$3" "$4" "$5" ""), expanded $(evaluate "$2" "$3" "$4" "$5" -math-expand-ops)"
}
echo "mlir-22-tools $version"
{
  compare "powf(2, 3)" "math.powf %x, %n : f32" 2.0 3.0 f32
  compare "powf(-2, 3)" "math.powf %x, %n : f32" -2.0 3.0 f32
  compare "powf(-2, 0)" "math.powf %x, %n : f32" -2.0 0.0 f32
  compare "powf(0, 0)" "math.powf %x, %n : f32" 0.0 0.0 f32
  compare "fpowi(2, 3)" "math.fpowi %x, %n : f32, i32" 2.0 3 i32
  compare "fpowi(-2, 3)" "math.fpowi %x, %n : f32, i32" -2.0 3 i32
  compare "fpowi(-2, 2)" "math.fpowi %x, %n : f32, i32" -2.0 2 i32
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
powf(2, 3): 8.000000e+00, expanded 8.000000e+00
powf(-2, 3): -8.000000e+00, expanded nan
powf(-2, 0): 1.000000e+00, expanded nan
powf(0, 0): 1.000000e+00, expanded nan
fpowi(2, 3): 8.000000e+00, expanded 8.000000e+00
fpowi(-2, 3): -8.000000e+00, expanded nan
fpowi(-2, 2): 4.000000e+00, expanded nan
LINES
echo "as described"
