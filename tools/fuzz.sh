#!/bin/bash
# Runs the fuzz targets under ASan and UBSan. Builds them into build-fuzz first. A crash leaves its input in
# build-fuzz/crashes and ends with status 1.
#
#   tools/fuzz.sh                      10^6 inputs a target
#   tools/fuzz.sh 100000000            10^8 inputs a target
#   tools/fuzz.sh 1000000 GgufFuzz     only the named targets
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-fuzz
runs=${1:-1000000}
shift || true
case $runs in
*[!0-9]*)
  echo "usage: fuzz.sh [INPUTS [TARGET...]]" >&2
  exit 2
  ;;
esac

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER="${CC:-clang-22}" -DCMAKE_CXX_COMPILER="${CXX:-clang++-22}" \
  -DSTEPDOWN_FUZZ=ON -DSTEPDOWN_COMPILER=OFF >/dev/null
[ $# -gt 0 ] || mapfile -t found < <(cd "$build/test/fuzz" && ls -- *.args)
targets=("$@")
[ $# -gt 0 ] || targets=("${found[@]%.args}")
ninja -C "$build" "${targets[@]}"
mkdir -p "$build/crashes"
cd "$build/crashes"
for target in "${targets[@]}"; do
  IFS=';' read -r -a arguments <"$build/test/fuzz/$target.args" || true
  filled=()
  for argument in "${arguments[@]}"; do
    [ -z "$argument" ] || filled+=("$argument")
  done
  echo "== $target: $runs inputs"
  "$build/bin/$target" "${filled[@]}" -runs="$runs" 2>&1 | tail -n 25
done
