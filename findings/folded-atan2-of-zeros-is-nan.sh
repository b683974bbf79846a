#!/bin/bash
# MLIR folds math.atan2 of two zeros to NaN, where the operation gives 0 or pi.
#
# math.atan2 of float32 zeros is run with arguments that the compiler cannot see through, and folded.
# Expected: the same: C and IEEE 754 define all four, atan2(+0, +0) is +0 and atan2(+0, -0) is pi.
# Seen with MLIR 22.1.8 of Debian's packages: folded, each is NaN; (0, 1) and (0, -1) agree.
#
#   findings/folded-atan2-of-zeros-is-nan.sh
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

module() { # Y X ATTRIBUTES
  cat <<MLIR
func.func @called(%y: f32, %x: f32) -> f32 $3 {
  %r = math.atan2 %y, %x : f32
  return %r : f32
}
func.func @main() -> f32 {
  %y = arith.constant $1 : f32
  %x = arith.constant $2 : f32
  %r = func.call @called(%y, %x) : (f32, f32) -> f32
  return %r : f32
}
MLIR
}
run() { # PASS...: lowers what it reads and runs it
  $bin/mlir-opt "$@" -convert-math-to-libm -convert-arith-to-llvm -convert-func-to-llvm |
    $bin/mlir-runner -O0 -e main -entry-point-result=f32
}
compare() { # Y X
  echo "atan2($1, $2): run $(module "$1" "$2" 'attributes {passthrough = ["noinline"]}' | run)," \
    "folded $(module "$1" "$2" '' | run -inline -canonicalize)"
}
echo "mlir-22-tools $version"
{
  compare 0.0 0.0
  compare 0.0 -0.0
  compare -0.0 0.0
  compare -0.0 -0.0
  compare 0.0 1.0
  compare 0.0 -1.0
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
atan2(0.0, 0.0): run 0.000000e+00, folded nan
atan2(0.0, -0.0): run 3.141593e+00, folded nan
atan2(-0.0, 0.0): run -0.000000e+00, folded nan
atan2(-0.0, -0.0): run -3.141593e+00, folded nan
atan2(0.0, 1.0): run 0.000000e+00, folded 0.000000e+00
atan2(0.0, -1.0): run 3.141593e+00, folded 3.141593e+00
LINES
echo "as described"
