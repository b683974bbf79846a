#!/bin/sh
# Writes docs/dialects and docs/passes from the definitions; with --check writes nothing and fails where they are stale.
#
#   tools/gen-docs.sh [--check]          MLIR_TBLGEN names the program where it is not found beside llvm-config-22
set -eu
cd "$(dirname "$0")/.."

llvm=$(command -v llvm-config-22 || command -v llvm-config || true)
bin=${llvm:+$("$llvm" --bindir)}
include=${llvm:+$("$llvm" --includedir)}
tblgen=${MLIR_TBLGEN:-${bin:+$bin/mlir-tblgen}}
if [ ! -x "$tblgen" ]; then
  echo "gen-docs: expects mlir-tblgen of LLVM 22 in PATH or in MLIR_TBLGEN, but found none" >&2
  exit 1
fi
[ -n "$include" ] || include=$(dirname "$(dirname "$tblgen")")/include

out=docs
if [ "${1:-}" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out/dialects" "$out/passes"

for ops in dialects/*/IR/*Ops.td; do
  name=$(basename "$(dirname "$(dirname "$ops")")")
  [ "$(basename "$ops")" = "${name}Ops.td" ] || continue
  "$tblgen" -gen-dialect-doc -dialect="$(echo "$name" | tr '[:upper:]' '[:lower:]')" -I. -I"$include" "$ops" \
    -o "$out/dialects/$name.md"
done
for passes in passes/*/Passes.td; do
  name=$(basename "$(dirname "$passes")")
  "$tblgen" -gen-pass-doc -I. -I"$include" "$passes" -o "$out/passes/$name.md"
done

[ "$out" != docs ] || exit 0
status=0
for folder in dialects passes; do
  if ! diff -ru "docs/$folder" "$out/$folder"; then
    echo "gen-docs: docs/$folder is stale; run tools/gen-docs.sh" >&2
    status=1
  fi
done
exit $status
