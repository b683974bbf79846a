#!/bin/bash
# Runs the fuzz targets under ASan and UBSan, JOBS at a time, after building them into build-fuzz. Each target ends with
# one line: what it ran, and the seed that repeats it. What a target objects to stays in build-fuzz/crashes under the
# name that the line gives, and ends the script with status 1.
#
#   tools/fuzz.sh                      10^6 inputs a target
#   tools/fuzz.sh 100000000            10^8 inputs a target
#   tools/fuzz.sh 1000000 GgufFuzz     only the named targets
#   tools/fuzz.sh --seconds 10 ...     a piece, as CI runs it: 10^4 inputs a target, then more until so long has passed
#   SEED=7 tools/fuzz.sh ...           repeats what was drawn with seed 7
#
# A target begins with its kept corpus and with what earlier runs found; a piece with the kept corpus alone, so that its
# seed repeats it. 10^4 inputs take most targets under 3 s of processor time, VocabularyFuzz and TokenizerTextFuzz 8,
# GrammarFuzz 26. An input may allocate 256 MiB, and may take one second of processor time: whether it does is measured
# by running it again alone, because a busy machine stretches every other clock. RESULTS names a file that gets a line
# `passed fuzz-NAME` or `failed fuzz-NAME` for each target.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-fuzz
least=10000
seconds=0
if [ "${1:-}" = --seconds ]; then
  seconds=${2:-none}
  shift 2 || true
fi
runs=${1:-1000000}
shift || true
case $runs$seconds in
*[!0-9]*)
  echo "usage: fuzz.sh [--seconds N] [INPUTS [TARGET...]]" >&2
  exit 2
  ;;
esac

# processor_time COMMAND...: prints the seconds that a command computed.
processor_time() {
  local TIMEFORMAT=%U
  { time "$@" >/dev/null 2>&1; } 2>&1 || true
}

# hangs PROGRAM INPUT: does the input alone take more than a second of processor time?
hangs() {
  awk "BEGIN {exit !($(processor_time timeout 15 "$1" -timeout=60 "$2") > 1)}"
}

# fuzz TARGET: runs one target and prints its line.
fuzz() {
  local target=$1 program=$build/bin/$1 log=$build/logs/$1.log seed=${SEED:-$((RANDOM * 32768 + RANDOM + 1))}
  local found=$build/test/fuzz/$1 start=$SECONDS status=0 arguments input inputs why=
  local first=$runs rest slowest=() stretched=
  IFS=';' read -r -a arguments <"$build/test/fuzz/$target.args" || true
  if [ "$seconds" -gt 0 ]; then
    found=$build/pieces/$target
    rm -rf "$found"
    first=$((runs < least ? runs : least))
    slowest=(-max_total_time=180)
  fi
  mkdir -p "$found"
  rm -f "$build/crashes/$target-"* "$log"
  # run SEED INPUTS OPTIONS...
  run() {
    "$program" -seed="$1" -runs="$2" -artifact_prefix="$build/crashes/$target-" "$found" "${arguments[@]}" "${@:3}" >>"$log" 2>&1
  }
  # judge: what the run has found, and how many inputs there were. One that takes longer than a busy machine lets it is
  # no find: libFuzzer ends there, and the rest is run anew.
  judge() {
    why=
    inputs=$(awk '/^stat::number_of_executed_units:/ {sum += $2} END {print sum + 0}' "$log")
    for input in "$build/crashes/$target-"*; do
      case $input in
      *'*') ;; # no such file
      *-slow-unit-* | *-timeout-*)
        if hangs "$program" "$input"; then
          why+=" takes over a second: $input;"
        else
          rm "$input"
          [ $status -ne 70 ] || status=0 stretched=1 # libFuzzer's status for a timeout
        fi
        ;;
      *) why+=" fails: $input;" ;;
      esac
    done
  }
  run "$seed" "$first" "${slowest[@]}" || status=$?
  judge
  if [ -n "$stretched" ] && [ -z "$why" ] && [ "$inputs" -lt "$first" ]; then
    run $((seed + 2)) $((first - inputs)) "${slowest[@]}" || status=$?
  fi
  rest=$((seconds - (SECONDS - start)))
  if [ $status -eq 0 ] && [ $first -lt "$runs" ] && [ $rest -gt 0 ]; then
    run $((seed + 1)) $((runs - first)) "-max_total_time=$rest" || status=$?
  fi
  judge
  [ $status -eq 0 ] || why+=" ended with status $status;"
  [ -n "$why" ] || [ "${inputs:-0}" -ge $((runs < least ? runs : least)) ] ||
    why+=" expects at least $((runs < least ? runs : least)) inputs;"
  local told="${inputs:-0} inputs in $((SECONDS - start)) s, seed $seed"
  if [ -z "$why" ]; then
    [ -z "${RESULTS:-}" ] || echo "passed fuzz-$target" >>"$RESULTS"
    echo "   fuzz-$target passed: $told"
  else
    [ -z "${RESULTS:-}" ] || echo "failed fuzz-$target" >>"$RESULTS"
    {
      tail -n 40 "$log"
      echo "   fuzz-$target FAILED:$why $told"
      echo "   again: $program FILE, the log: $log"
    } >&2
    return 1
  fi
}

launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
mkdir -p "$build"
{
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER="${CC:-clang-22}" -DCMAKE_CXX_COMPILER="${CXX:-clang++-22}" \
    -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld -DSTEPDOWN_FUZZ=ON -DSTEPDOWN_COMPILER=OFF \
    -DPython3_EXECUTABLE="$(command -v "${PYTHON:-python3}")" "${launcher[@]}" &&
    ninja -C "$build" -j "${JOBS:-$(nproc)}" fuzz-targets
} >"$build/build.log" 2>&1 || {
  tail -n 60 "$build/build.log" >&2
  [ -z "${RESULTS:-}" ] || echo "failed fuzz-build" >>"$RESULTS"
  exit 1
}
echo "   built in $SECONDS s"
mkdir -p "$build/crashes" "$build/logs"

targets=("$@")
if [ $# -eq 0 ]; then
  mapfile -t targets < <(cd "$build/test/fuzz" && ls -- *.args)
  targets=("${targets[@]%.args}")
fi
failed=0
for target in "${targets[@]}"; do
  [ -f "$build/test/fuzz/$target.args" ] || {
    echo "fuzz.sh: expects the name of a target, but got $target" >&2
    exit 2
  }
done
for target in "${targets[@]}"; do
  [ "$(jobs -rp | wc -l)" -lt "${JOBS:-$(nproc)}" ] || wait -n || failed=1
  fuzz "$target" &
done
while [ -n "$(jobs -p)" ]; do
  wait -n || failed=1
done
exit $failed
