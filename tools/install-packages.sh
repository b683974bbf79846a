#!/bin/bash
# Installs the Debian packages that Stepdown is built from, and only those that are missing. Names whatever cannot be had.
#
#   tools/install-packages.sh [build|test]     build: what the programs need (default); test: also what the tests need
#   tools/install-packages.sh --list [...]     prints their names, one a line, and installs nothing
#
# tools/check.sh fails where something uses a package that is not named here (tools/needed-packages.py).
# Debian 12 carries LLVM 22 in bookworm-security. On another system install the same things yourself and set
# STEPDOWN_SKIP_PACKAGES=1, with which this script does nothing.
set -euo pipefail

build=(
  clang-22 lld-22 llvm-22-dev libmlir-22-dev mlir-22-tools # the compiler, and what ours is made of
  cmake ninja-build ccache                                 # the build
  libpcre2-dev libutf8proc-dev nlohmann-json3-dev          # Unicode in tokenizers and templates; JSON
  libboost-dev                                             # HTTP of stepdown-run serve: Boost.Beast, headers alone
  libxxhash-dev                                            # checksums of artifacts
  zlib1g-dev                                               # LLVM's CMake files look for it
  python3 python3-pip ca-certificates                      # fetches the checkpoints
)
test=(
  libgtest-dev libclang-rt-22-dev clang-format-22 llvm-22-tools python3-venv g++ make pkg-config binutils git zsh groff-base chromium haproxy
  libc6-dev-arm64-cross libstdc++-12-dev-arm64-cross qemu-user-static # the runtime for AArch64, and what runs it
)

die() {
  echo "install-packages: $*" >&2
  exit 1
}
list=
if [ "${1:-}" = --list ]; then
  list=1
  shift
fi
case ${1:-build} in
build) wanted=("${build[@]}") ;;
test) wanted=("${build[@]}" "${test[@]}") ;;
-h | --help)
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "usage: install-packages.sh [--list] [build|test]" >&2
  exit 2
  ;;
esac
if [ -n "$list" ]; then
  printf '%s\n' "${wanted[@]}"
  exit 0
fi
[ -z "${STEPDOWN_SKIP_PACKAGES:-}" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
  die "expects Debian 12 with apt-get; elsewhere install the equivalents of: ${wanted[*]}; then set STEPDOWN_SKIP_PACKAGES=1"

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-packages: all ${#wanted[@]} packages are installed"
  exit 0
fi

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "expects root or sudo to install: ${missing[*]}"
  root=(sudo)
fi
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"; }
echo "install-packages: installing ${missing[*]}"
apt update -qq || die "apt-get update failed: is there a network, and are the sources in /etc/apt right?"
absent=()
for package in "${missing[@]}"; do
  candidate=$(apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')
  [ -n "$candidate" ] && [ "$candidate" != "(none)" ] || absent+=("$package")
done
[ ${#absent[@]} -eq 0 ] ||
  die "no source in /etc/apt has: ${absent[*]} (LLVM 22 is in bookworm-security of Debian 12, and at https://apt.llvm.org)"
apt install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
