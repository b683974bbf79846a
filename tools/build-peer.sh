#!/bin/bash
# Builds the peers that test/bench compares with, natively for this machine: llama-bench, llama-perplexity,
# llama-batched-bench and llama-server of the llama.cpp that the Python source package llama-cpp-python carries; or
# llama-bench of a checkout of one of its relatives, such as ik_llama.cpp. About a quarter of an hour on two cores; does
# nothing when built.
#
#   tools/build-peer.sh [VERSION]      -> the four in build/peer, and build/peer/VERSION
#   tools/build-peer.sh --source DIR   -> build/peer-NAME/llama-bench, build/peer-NAME/VERSION; NAME is that of DIR
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
peer=$root/build/peer
version=
source=
targets=(llama-bench llama-perplexity llama-batched-bench llama-server)

die() {
  echo "build-peer: $*" >&2
  exit 1
}
if [ "${1:-}" = --source ]; then
  [ -f "${2:-}/CMakeLists.txt" ] || die "expects --source to name a checkout, but '${2:-}' has no CMakeLists.txt"
  vendor=$(cd "$2" && pwd)
  source=$(basename "$vendor")
  peer=$root/build/peer-$source
  targets=(llama-bench)
else
  version=${1:-}
fi
for tool in python3 cmake c++; do
  command -v $tool >/dev/null || die "expects $tool on the PATH, but it is missing"
done
if [ -x "$peer/${targets[-1]}" ] && [ -f "$peer/VERSION" ] && [ -z "$version" ]; then
  echo "build-peer: $(cat "$peer/VERSION") is already in $peer"
  exit 0
fi
mkdir -p "$peer"
cd "$peer"

# pip asks a source package for its metadata even when it only downloads it; that needs the package's build backend, here
# in an environment of its own, because an isolated build would fetch and build cmake and ninja as well.
fetch_llama() {
  if [ ! -x venv/bin/pip ]; then
    echo "build-peer: making a Python environment"
    python3 -m venv venv || die "cannot make a Python environment (on Debian: apt-get install python3-venv)"
    venv/bin/pip install -q scikit-build-core cmake ninja || die "cannot install scikit-build-core"
  fi
  if ! compgen -G 'llama_cpp_python-*.tar.gz' >/dev/null || [ -n "$version" ]; then
    echo "build-peer: fetching the source package llama-cpp-python"
    PATH=$peer/venv/bin:$PATH venv/bin/pip download -q --no-deps --no-build-isolation --no-binary :all: \
      "llama-cpp-python${version:+==$version}" -d . || die "cannot fetch llama-cpp-python ${version:-(newest)}"
  fi
  archive=$(find . -maxdepth 1 -name 'llama_cpp_python-*.tar.gz' -printf '%T@ %f\n' | sort -rn | head -n 1 | cut -d ' ' -f 2)
  name=${archive%.tar.gz}
  [ -d "$name" ] || tar xzf "$archive" || die "cannot unpack $archive"
  vendor=$name/vendor/llama.cpp
  [ -f "$vendor/CMakeLists.txt" ] || die "expects $vendor in $archive, but it is missing"
  name=${name/_cpp_/-cpp-}
}

if [ -z "$source" ]; then
  fetch_llama
else
  name=$source-$(git -C "$vendor" rev-parse --short HEAD 2>/dev/null || echo unknown)
fi
examples=OFF # where older trees keep llama-bench
server=ON
[ -z "$source" ] || { examples=ON && server=OFF; }
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S "$vendor" -B out "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
  -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES="$examples" -DLLAMA_BUILD_SERVER="$server" -DLLAMA_BUILD_TOOLS=ON \
  >configure.log 2>&1 || die "configuring failed, see $peer/configure.log"
cmake --build out --target "${targets[@]}" -j "$(nproc)" >build.log 2>&1 || die "building failed, see $peer/build.log"
for target in "${targets[@]}"; do
  cp "out/bin/$target" .
done
echo "$name" >VERSION
echo "build-peer: $name is in $peer"
