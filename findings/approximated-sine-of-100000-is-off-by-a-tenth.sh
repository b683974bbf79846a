#!/bin/bash
# MLIR's polynomials for sine and cosine lose the angle where positions of long contexts are.
#
# math.sin and math.cos of a float32 that the compiler cannot see through are run twice: by libm
# (-convert-math-to-libm), and by the polynomials that -test-math-polynomial-approximation puts in their place, which is
# populateMathPolynomialApproximationPatterns and nothing else.
# Expected: the same values but for a few units of the last place, or an error that the documentation states. A rotary
# embedding's first angle is the position itself, so arguments reach 131,071 and beyond.
# Seen with MLIR 22.1.8 of Debian's packages: the argument is reduced by a product with one float32 of pi / 2, so that
# the error grows with it: 3.5e-5 at 10,000, 3.8e-3 (a tenth of the value) at 100,000, and of 1e10 the cosine is 1.
# sin(-1e-8) has the wrong sign: +6.2e-8.
#
#   findings/approximated-sine-of-100000-is-off-by-a-tenth.sh
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

evaluate() { # OPERATION X PASS...
  local operation=$1 x=$2
  shift 2
  cat >call.mlir <<MLIR
func.func @called(%x: f32) -> f32 attributes {passthrough = ["noinline"]} {
  %r = $operation %x : f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $x : f32
  %r = func.call @called(%x) : (f32) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt call.mlir "$@" -convert-math-to-libm -convert-vector-to-llvm -convert-math-to-llvm -convert-arith-to-llvm \
    -convert-func-to-llvm -reconcile-unrealized-casts | $bin/mlir-runner -O0 -e main -entry-point-result=f32
}
compare() { # OPERATION X
  echo "$1 $2: libm $(evaluate "$1" "$2"), approximated $(evaluate "$1" "$2" -test-math-polynomial-approximation)"
}
echo "mlir-22-tools $version"
{
  compare math.sin 1.0
  compare math.sin -1.0e-8
  compare math.sin 1.0e+4
  compare math.sin 1.0e+5
  compare math.cos 131071.0
  compare math.cos 1.0e+10
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
math.sin 1.0: libm 8.414710e-01, approximated 8.414710e-01
math.sin -1.0e-8: libm -1.000000e-08, approximated 6.229855e-08
math.sin 1.0e+4: libm -3.056144e-01, approximated -3.055794e-01
math.sin 1.0e+5: libm 3.574880e-02, approximated 3.953601e-02
math.cos 131071.0: libm -8.179835e-01, approximated -8.200059e-01
math.cos 1.0e+10: libm 8.731197e-01, approximated 1.000000e+00
LINES
echo "as described"
