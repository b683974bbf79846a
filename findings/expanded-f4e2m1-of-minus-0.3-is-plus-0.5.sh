#!/bin/bash
# MLIR's expansion of arith.truncf to f4E2M1FN changes the sign of what rounds up to -0.5.
#
# f32 numbers become f4E2M1FN, the element of MXFP4 and NVFP4, in two ways: as a constant of that type in the text, which
# LLVM's APFloat rounds, and by arith.truncf after -arith-expand=include-f4e2m1, of an argument that the compiler cannot
# see through. Both are made f32 again by arith.extf.
# Expected: the same values; the nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6 with the sign of what was given.
# Seen with MLIR 22.1.8 of Debian's packages: of what lies between -0.5 and -0.25 the expanded form makes +0.5: off by
# up to 1, where rounding is off by at most 0.25. 0.3 and all from -0.5 down are right. No diagnostic.
#
#   findings/expanded-f4e2m1-of-minus-0.3-is-plus-0.5.sh
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
  %t = arith.constant $1 : f4E2M1FN
  %r = arith.extf %t : f4E2M1FN to f32
  return %r : f32
}
MLIR
  $bin/mlir-opt written.mlir -canonicalize | sed -n 's/.*arith.constant \(.*\) : f32.*/\1/p'
}

# X: prints the value that the expanded operations make.
expanded() {
  cat >expanded.mlir <<MLIR
func.func @called(%x: f32) -> f32 attributes {passthrough = ["noinline"]} {
  %t = arith.truncf %x : f32 to f4E2M1FN
  %r = arith.extf %t : f4E2M1FN to f32
  return %r : f32
}
func.func @main() -> f32 {
  %x = arith.constant $1 : f32
  %r = func.call @called(%x) : (f32) -> f32
  return %r : f32
}
MLIR
  $bin/mlir-opt expanded.mlir -arith-expand=include-f4e2m1=true -convert-arith-to-llvm -convert-func-to-llvm \
    -reconcile-unrealized-casts | $bin/mlir-runner -O0 -e main -entry-point-result=f32
}

echo "mlir-22-tools $version"
for x in 0.3 -0.6 -0.5 -0.49 -0.3 -0.26; do
  echo "$x: written $(written $x), expanded $(expanded $x)"
done | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
0.3: written 5.000000e-01, expanded 5.000000e-01
-0.6: written -5.000000e-01, expanded -5.000000e-01
-0.5: written -5.000000e-01, expanded -5.000000e-01
-0.49: written -5.000000e-01, expanded 5.000000e-01
-0.3: written -5.000000e-01, expanded 5.000000e-01
-0.26: written -5.000000e-01, expanded 5.000000e-01
LINES
echo "as described"
