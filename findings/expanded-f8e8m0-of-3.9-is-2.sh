#!/bin/bash
# MLIR's expansion of f8E8M0FNU cuts in place of rounding, and reads the smallest scale as zero.
#
# f32 numbers become f8E8M0FNU, the powers of two that scale blocks of MXFP4 and MXFP8, in two ways: as a constant of that
# type in the text, which LLVM's APFloat rounds, and by arith.truncf after -arith-expand=include-f8e8m0, of an argument
# that the compiler cannot see through. Both are made f32 again by arith.extf.
# Expected: the same values.
# Seen with MLIR 22.1.8 of Debian's packages: as text 3.9 is 4, expanded it is 2: the exponent alone is kept. The code of
# 2^-127, which the format has in place of a zero, is expanded to 0.0, so a block with that scale vanishes; as text it is
# 5.877e-39. No diagnostic.
#
#   findings/expanded-f8e8m0-of-3.9-is-2.sh
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

# X: prints the value of a constant.
written() {
  cat >written.mlir <<MLIR
func.func @main() -> f32 {
  %t = arith.constant $1 : f8E8M0FNU
  %r = arith.extf %t : f8E8M0FNU to f32
  return %r : f32
}
MLIR
  $bin/mlir-opt written.mlir -canonicalize | sed -n 's/.*arith.constant \(.*\) : f32.*/\1/p'
}

# X: prints the value that the expanded operations make.
expanded() {
  cat >expanded.mlir <<MLIR
func.func @called(%x: f32) -> f32 attributes {passthrough = ["noinline"]} {
  %t = arith.truncf %x : f32 to f8E8M0FNU
  %r = arith.extf %t : f8E8M0FNU to f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $1 : f32
  %r = func.call @called(%x) : (f32) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt expanded.mlir -arith-expand=include-f8e8m0=true -convert-arith-to-llvm -convert-func-to-llvm \
    -reconcile-unrealized-casts | $bin/mlir-runner -O0 -e main -entry-point-result=f32
}

echo "mlir-22-tools $version"
for x in 4.0 3.9 1.75 0.75 5.877471754e-39; do
  echo "$x: written $(written $x), expanded $(expanded $x)"
done | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
4.0: written 4.000000e+00, expanded 4.000000e+00
3.9: written 4.000000e+00, expanded 2.000000e+00
1.75: written 2.000000e+00, expanded 1.000000e+00
0.75: written 1.000000e+00, expanded 5.000000e-01
5.877471754e-39: written 5.87747175E-39, expanded 0.000000e+00
LINES
echo "as described"
