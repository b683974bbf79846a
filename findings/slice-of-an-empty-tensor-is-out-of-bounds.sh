#!/bin/bash
# MLIR refuses the whole slice of a tensor that is statically empty, and takes the same slice where the size is not known.
#
# tensor.extract_slice takes nothing from offset 0 of a tensor with a size of 0, which the type says, and then which only
# the caller knows.
# Expected: both are the empty tensor.
# Seen with MLIR 22.1.8 of Debian's packages: the first is an error, "offset 0 is out-of-bounds: 0 >= 0". So a slice
# that is valid with an unknown size is an error with the same size known.
#
#   findings/slice-of-an-empty-tensor-is-out-of-bounds.sh
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

slice() { # TYPE COUNT RESULT
  cat <<MLIR
func.func @whole(%x: tensor<$1xf32>) -> tensor<$3xf32> {
  %r = tensor.extract_slice %x[0] [$2] [1] : tensor<$1xf32> to tensor<$3xf32>
  return %r : tensor<$3xf32>
}
MLIR
}
told() { # what mlir-opt has against its input
  $bin/mlir-opt 2>&1 >/dev/null | sed -n 's/.*error: //p'
}
echo "mlir-22-tools $version"
{
  echo "0 of a tensor<0xf32>: $(slice 0 0 0 | told)"
  echo "5 of a tensor<5xf32>:$(slice 5 5 5 | told)"
  echo "0 of a tensor<?xf32>:$(slice '?' 0 0 | told)"
} | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
0 of a tensor<0xf32>: offset 0 is out-of-bounds: 0 >= 0
5 of a tensor<5xf32>:
0 of a tensor<?xf32>:
LINES
echo "as described"
