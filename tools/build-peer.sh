#!/bin/bash
# Builds the peer that test/bench compares with: llama-bench and llama-perplexity of the llama.cpp that the Python source
# package llama-cpp-python carries, natively for this machine. About ten minutes on two cores; does nothing when built.
#
#   tools/build-peer.sh [VERSION]     -> build/peer/llama-bench, build/peer/llama-perplexity, build/peer/VERSION
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
peer=$root/build/peer
version=${1:-}
targets=(llama-bench llama-perplexity)

die() {
  echo "build-peer: $*" >&2
  exit 1
}
for tool in python3 cmake c++; do
  command -v $tool >/dev/null || die "expects $tool on the PATH, but it is missing"
done
if [ -x "$peer/llama-bench" ] && [ -x "$peer/llama-perplexity" ] && [ -z "$version" ]; then
  echo "build-peer: $(cat "$peer/VERSION") is already in $peer"
  exit 0
fi
mkdir -p "$peer"
cd "$peer"

# pip asks a source package for its metadata even when it only downloads it; that needs the package's build backend, here
# in an environment of its own, because an isolated build would fetch and build cmake and ninja as well.
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
source=${archive%.tar.gz}
[ -d "$source" ] || tar xzf "$archive" || die "cannot unpack $archive"
vendor=$source/vendor/llama.cpp
[ -f "$vendor/CMakeLists.txt" ] || die "expects $vendor in $archive, but it is missing"

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
cmake -S "$vendor" -B out "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
  -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_TOOLS=ON \
  >configure.log 2>&1 || die "configuring failed, see $peer/configure.log"
cmake --build out --target "${targets[@]}" -j "$(nproc)" >build.log 2>&1 || die "building failed, see $peer/build.log"
for target in "${targets[@]}"; do
  cp "out/bin/$target" .
done
echo "${source/_cpp_/-cpp-}" >VERSION
echo "build-peer: $(cat VERSION) is in $peer"
