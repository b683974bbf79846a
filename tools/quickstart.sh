#!/bin/bash
# From a fresh clone on Debian 12 to the answer of a real model, in under 15 minutes on two cores: installs the packages,
# builds the programs into build/bin, fetches SmolLM2, compiles it and lets it speak. What is done already is not done again.
#
#   tools/quickstart.sh
#
# STEPDOWN_MODELS names another folder than models/, JOBS another number of build jobs than there are cores.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
models=${STEPDOWN_MODELS:-$root/models}
build=$root/build
began=$(date +%s)

case ${1:-} in
'') ;;
-h | --help)
  sed -n '2,7s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "usage: quickstart.sh" >&2
  exit 2
  ;;
esac

# step SENTENCE COMMAND...: runs the command between its name and its time.
step() {
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  "$@" || {
    echo "quickstart: $name failed" >&2
    exit 1
  }
  echo "   $((SECONDS - start)) s"
}

configure() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S . -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld -DCMAKE_SHARED_LINKER_FLAGS=-fuse-ld=lld -DSTEPDOWN_TESTS=OFF \
    "${launcher[@]}" >"$build/configure.log" 2>&1 || {
    cat "$build/configure.log" >&2
    return 1
  }
}

compile() {
  # Newer than the checkpoint and the compiler means done.
  if [ "$models/smollm2.stepdown" -nt "$models/smollm2.gguf" ] && [ "$models/smollm2.stepdown" -nt "$build/bin/stepdown-compile" ]; then
    echo "$models/smollm2.stepdown is up to date"
    return
  fi
  "$build/bin/stepdown-compile" "$models/smollm2.gguf" -o "$models/smollm2.stepdown"
}

mkdir -p "$build"
step "packages" tools/install-packages.sh build
step "configure" configure
step "build" cmake --build "$build" -j "${JOBS:-$(nproc)}"
step "fetch SmolLM2-135M-Instruct" tools/fetch-models.sh smollm2
step "compile" compile
step "generate" "$build/bin/stepdown-run" generate "$models/smollm2.stepdown" -p "The capital of France is" -n 32 --temperature 0
# Seconds of processor time of all that ran, which a busy machine does not stretch: `times` prints 1m2.3s 0m4.5s for them.
times >"$build/times"
spent=$(awk 'NR == 2 {for (i = 1; i <= 2; ++i) {split($i, part, /[ms]/); sum += 60 * part[1] + part[2]}; printf "%.0f", sum}' "$build/times")
echo "quickstart: done in $(($(date +%s) - began)) s, $spent s of processor time"
echo "quickstart: next: build/bin/stepdown-run chat ${models#"$root"/}/smollm2.stepdown"
