#!/bin/bash
# MLIR's -arith-expand forgets that arith.maximumf holds -0 for less than +0.
#
# arith.maximumf and arith.minimumf of float32 zeros, with arguments that the compiler cannot see through, are lowered as
# they are (llvm.intr.maximum) and after -arith-expand, as targets without such an instruction want it.
# Expected: the same: the operation's description has -0.0 less than +0.0.
# Seen with MLIR 22.1.8 of Debian's packages: expanded, they compare and select, and of two zeros the second is both
# the maximum and the minimum: maximumf(+0, -0) is -0. NaN is kept, as described.
#
#   findings/expanded-maximum-of-0-and-minus-0-is-minus-0.sh
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

evaluate() { # OPERATION X Y PASS...
  local operation=$1 x=$2 y=$3
  shift 3
  cat >call.mlir <<MLIR
func.func @called(%x: f32, %y: f32) -> f32 attributes {passthrough = ["noinline"]} {
  %r = $operation %x, %y : f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $x : f32
  %y = arith.constant $y : f32
  %r = func.call @called(%x, %y) : (f32, f32) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt call.mlir "$@" -convert-arith-to-llvm -convert-func-to-llvm |
    $bin/mlir-runner -O0 -e main -entry-point-result=f32
}
compare() { # OPERATION X Y
  echo "$1 $2 $3: as it is $(evaluate "$@"), expanded $(evaluate "$@" -arith-expand)"
}
echo "mlir-22-tools $version"
{
  compare arith.maximumf 0.0 -0.0
  compare arith.maximumf -0.0 0.0
  compare arith.minimumf -0.0 0.0
  compare arith.minimumf 0.0 -0.0
  compare arith.maximumf 0.0 0x7FC00000
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
arith.maximumf 0.0 -0.0: as it is 0.000000e+00, expanded -0.000000e+00
arith.maximumf -0.0 0.0: as it is 0.000000e+00, expanded 0.000000e+00
arith.minimumf -0.0 0.0: as it is -0.000000e+00, expanded 0.000000e+00
arith.minimumf 0.0 -0.0: as it is -0.000000e+00, expanded -0.000000e+00
arith.maximumf 0.0 0x7FC00000: as it is nan, expanded nan
LINES
echo "as described"
