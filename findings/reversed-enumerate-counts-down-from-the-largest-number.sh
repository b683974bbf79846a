#!/bin/bash
# The indices of llvm::reverse(llvm::enumerate(range)) are not those of llvm::enumerate(range).
#
# Three elements are walked forwards and backwards, each with its index. enumerate gives a range whose iterators go
# backwards as well, and reverse takes it without a warning of -Wall -Wextra.
# Expected: backwards what forwards gave, 2 1 0, as of C++23's std::views::enumerate.
# Seen with llvm-22-dev 22.1.8 of Debian 12, for an array, a std::vector and an ArrayRef alike: the elements come in the
# right order, with indices that count down from SIZE_MAX - 1: as int64_t -2, -3 and -4. The stream of indices has
# SIZE_MAX as its end, which stands for infinity. Code that looks a number up finds nothing, or what is in front of it.
#
#   findings/reversed-enumerate-counts-down-from-the-largest-number.sh
#
# needs Debian's package index and a C++17 compiler; exits 0 while this is so
set -euo pipefail

version=1:22.1.8-1~deb12u1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q "llvm-22-dev=$version" >/dev/null 2>&1 ||
  { echo "expects llvm-22-dev $version in the package index" >&2; exit 2; }
dpkg-deb -x llvm-22-dev_*.deb root
cat >walk.cpp <<'CPP'
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include <cinttypes>
#include <cstdio>
#include <vector>
template <typename Range> void walk(Range &&range) {
  for (auto [index, element] : llvm::enumerate(range))
    std::printf("%" PRId64 ":%d ", static_cast<int64_t>(index), element);
  std::printf("backwards ");
  for (auto [index, element] : llvm::reverse(llvm::enumerate(range)))
    std::printf("%" PRId64 ":%d ", static_cast<int64_t>(index), element);
  std::printf("\n");
}
int main() {
  int array[] = {10, 20, 30};
  walk(array);
  walk(std::vector<int>{10, 20, 30});
  walk(llvm::ArrayRef<int>(array));
}
CPP
"${CXX:-c++}" -std=c++17 -Wall -Wextra -Werror -DLLVM_DISABLE_ABI_BREAKING_CHECKS_ENFORCING=1 \
  -isystem root/usr/include/llvm-22 -isystem root/usr/include/llvm-c-22 walk.cpp -o walk
echo "llvm-22-dev $version"
./walk | tee seen
line='0:10 1:20 2:30 backwards -2:30 -3:20 -4:10 '
[ "$(cat seen)" = "$(printf '%s\n%s\n%s' "$line" "$line" "$line")" ] || { echo "changed: expected '$line' three times" >&2; exit 1; }
echo "as described"
