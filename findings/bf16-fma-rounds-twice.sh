#!/bin/bash
# A fused multiply-add of bf16 is rounded twice where it is executed, and once where it is folded.
#
# llvm.fma of bf16 (math.fma in MLIR, __builtin_elementwise_fma of __bf16 in Clang) has no instruction on x86-64, not
# with AVX512-BF16 either. LLVM makes it a float32 fma and rounds that to bf16; of half it knows better and takes float64.
# 1.75 * 0.578125 is 1 + 3/256, half-way between two numbers of bf16, and 2^-30 less is nearer to 1 + 1/128.
# Expected: 1.0078125 (0x3F81) each time, as one rounding gives it and PTX's fma.rn.bf16 is specified to.
# Seen with LLVM 22.1.8 of Debian's packages: executed 1.015625 (the float32 sum is the tie, which goes to the even
# number), folded by the optimizer 1.0078125; half's own case, 1.0009765625 * 0.0004878044 + 1.0009765625, is
# 1.0009765625 both times. So a program has one result where its arguments become constants and another where not.
#
#   findings/bf16-fma-rounds-twice.sh
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

run() { # TYPE A B C ATTRIBUTES
  $bin/mlir-opt -convert-math-to-llvm -convert-arith-to-llvm -convert-func-to-llvm -reconcile-unrealized-casts <<MLIR |
func.func @called(%a: $1, %b: $1, %c: $1) -> $1 $5 {
  %r = math.fma %a, %b, %c : $1
  return %r : $1
}
func.func @main() -> f32 {
  %a = arith.constant $2 : $1
  %b = arith.constant $3 : $1
  %c = arith.constant $4 : $1
  %r = func.call @called(%a, %b, %c) : ($1, $1, $1) -> $1
  %wide = arith.extf %r : $1 to f32
  return %wide : f32
}
MLIR
    $bin/mlir-runner -O2 -e main -entry-point-result=f32
}
compare() { # TYPE A B C
  echo "$1: executed $(run "$@" 'attributes {passthrough = ["noinline"]}'), folded $(run "$@" "")"
}
echo "mlir-22-tools $version"
{
  compare bf16 1.75 0.578125 -9.313225746154785e-10
  compare f16 1.0009765625 0.0004878044128417969 1.0009765625
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
bf16: executed 1.015625e+00, folded 1.007812e+00
f16: executed 1.000977e+00, folded 1.000977e+00
LINES
echo "as described"
