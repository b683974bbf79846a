#!/bin/bash
# Builds the runtime for AArch64 on another machine: build-aarch64/bin/stepdown-run, one static program. It runs on an
# AArch64 Linux as it is, and anywhere under qemu-aarch64-static (Debian: qemu-user-static).
#
#   tools/build-aarch64.sh        builds, and fetches first what is missing of PCRE2 and utf8proc, without root
#
# Debian packages: tools/install-packages.sh test. Ends with 77 where something that it needs is missing.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-aarch64
libraries=$build/root

missing() {
  echo "build-aarch64: $*" >&2
  exit 77
}
for tool in clang++-22 ld.lld cmake ninja; do
  command -v $tool >/dev/null || missing "expects $tool on the PATH, but it is missing (tools/install-packages.sh test)"
done
[ -f /usr/aarch64-linux-gnu/include/stdio.h ] ||
  missing "expects the C library for AArch64, but it is missing (tools/install-packages.sh test)"

# Static libraries for AArch64, by a list of packages of their own: the system's stays what it is.
if ! compgen -G '/usr/lib/aarch64-linux-gnu/libpcre2-8.a' >/dev/null && [ ! -d "$libraries" ]; then
  command -v apt-get >/dev/null || missing "expects libpcre2-8.a and libutf8proc.a for AArch64, or apt-get, which fetches them"
  state=$build/apt
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  options=(-q -o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" -o APT::Architecture=arm64
    -o APT::Architectures=arm64 -o Debug::NoLocking=1 -o APT::Sandbox::User=)
  echo "build-aarch64: fetching PCRE2 and utf8proc"
  # What apt calls on the way, hooks of other packages included, is the system's affair: it is found on the system's PATH.
  apt_get() {
    PATH=/usr/sbin:/usr/bin:/sbin:/bin apt-get "${options[@]}" "$@"
  }
  apt_get update >/dev/null || missing "apt-get update failed: is there a network?"
  (cd "$state" && apt_get download libpcre2-dev libutf8proc-dev >/dev/null) ||
    missing "no source in /etc/apt has libpcre2-dev and libutf8proc-dev for arm64"
  for package in "$state"/*.deb; do
    dpkg-deb -x "$package" "$libraries.part"
  done
  mv "$libraries.part" "$libraries"
fi

launcher=()
if command -v ccache >/dev/null; then
  launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
fi
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$root/cmake/aarch64.cmake" "${launcher[@]}" \
  -DSTEPDOWN_AARCH64_ROOT="$libraries" -DSTEPDOWN_COMPILER=OFF -DSTEPDOWN_TESTS=OFF >/dev/null
ninja -C "$build" stepdown-run
