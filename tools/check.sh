#!/bin/bash
# Builds everything and runs every test; in under 30 minutes on two cores. The last line counts single tests:
# `N passed, N failed`, and `, N skipped` where some were. Exit status 1 when anything failed.
#
#   tools/check.sh [style|docs|unit|run|lit|tsan|fuzz]...     all parts without an argument
#
#   style  clang-format, and who may know whom        unit  GoogleTest programs of single parts
#   docs   generated pages are current                run   tests that run the programs as a user does
#   lit    dialects, passes and phases, one .mlir file a behaviour
#   tsan   what runs threads, under ThreadSanitizer   fuzz  every fuzz target for 10 seconds or more, and failing
#          allocations, under ASan and UBSan
#
# Whatever of the system the build and the scripts use must be of a package that tools/install-packages.sh names: on Debian,
# style and the build check that, and programs of other packages are hidden from all that runs here.
# The parts unit, run and lit build first; tsan and fuzz build what they need without the compiler, into build-tsan and
# build-fuzz. Real checkpoints are fetched into models/ (STEPDOWN_MODELS names another folder); without a network the tests
# that need them skip. JOBS is the number of jobs where it is not the number of cores.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
build=$root/build
results=$build/results
jobs=${JOBS:-$(nproc)}
python=python3
# GoogleTest programs are named ...Test; these of them run whole programs, as the scripts of test/run do.
programs='^(RunCommandTest|ChatTerminalTest|EmbeddingTest)$'
# These run threads of ours, or the C API from several of its caller's.
threaded=(ConcurrencyTest ThreadPoolTest SchedulerTest SessionTest GenerateApiTest EngineTest)
# What fails every allocation in turn, what nests as deep as it may, and whose parts go in turn: errors that only ASan sees.
sanitized=(AllocationFailureTest HostileTemplateTest ChatTemplateTest SchedulerOrderTest SchedulerTest SpeculationTest SessionTest PrefixTreeTest)

parts=("$@")
[ $# -gt 0 ] || parts=(style docs unit run lit tsan fuzz)
for part in "${parts[@]}"; do
  case $part in
  style | docs | unit | run | lit | tsan | fuzz) ;;
  -h | --help)
    sed -n '2,16s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *)
    echo "usage: check.sh [style|docs|unit|run|lit|tsan|fuzz]..." >&2
    exit 2
    ;;
  esac
done
wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }

# one NAME COMMAND...: a check that is one test; its output is shown when it fails.
one() {
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$results/$name.log" 2>&1; then
    echo "passed $name" >>"$results/single"
    echo "   $name passed ($((SECONDS - start)) s)"
  else
    echo "failed $name" >>"$results/single"
    cat "$results/$name.log" >&2
    echo "   $name FAILED" >&2
  fi
}

formatted() { git ls-files -z '*.cpp' '*.h' '*.c' | xargs -0 clang-format-22 --dry-run -Werror; }

# The runtime and what outsiders include, and the libraries that the runtime links, never see LLVM.
without_compiler=(runtime include lib/Base lib/CommandLine lib/Checkpoint lib/Text tools/stepdown-run)
runtime_knows_no_llvm() {
  ! grep -rnE '#[[:space:]]*include[[:space:]]*[<"](llvm|mlir)(-c)?/' "${without_compiler[@]}"
}

# Nor do they see anything else of the compiler: what both sides must know is in include/stepdown or lib/Base.
runtime_knows_no_compiler() {
  ! grep -rnE '#include "(lib/(Artifact|Driver|Explain|Frontend|Layout|Pipeline|Reference|Target)|passes|dialects)/' \
    "${without_compiler[@]}"
}

# The libraries that compiler and runtime share stand on each other alone: what only runs, devices and tensors, is above.
shared_libraries_know_below() {
  local ladder status=0
  for ladder in Base 'CommandLine|Base' 'Checkpoint|Base' 'Text|Checkpoint|Base'; do
    if grep -rnE '#[[:space:]]*include[[:space:]]*"' "lib/${ladder%%|*}" | grep -vE "include[[:space:]]*\"lib/($ladder)/"; then
      status=1
    fi
  done
  return $status
}

# One stream in what stepdown-run is made of links all of the library's locales: 0.8 MB of a static program.
no_streams_in_the_runtime() {
  ! grep -rnE '#[[:space:]]*include <(iostream|sstream|fstream|iomanip|locale|regex|filesystem)>' runtime include \
    lib/Base lib/Text lib/Checkpoint lib/CommandLine tools/stepdown-run
}

# A stage includes dialects and lib/Target, never another stage.
stages_know_no_stage() {
  local stage status=0
  for stage in passes/*/; do
    stage=$(basename "$stage")
    if grep -rnE '#include "passes/' "passes/$stage" | grep -vE "#include \"passes/$stage/"; then
      status=1
    fi
  done
  return $status
}

# Files and programs of packages that install-packages.sh does not name are there by chance; so this holds elsewhere, too.
on_debian() { [ -z "${STEPDOWN_SKIP_PACKAGES:-}" ] && command -v dpkg-query >/dev/null; }
hide_unnamed_programs() {
  tools/needed-packages.py decoys "$results/decoys" && export PATH="$results/decoys:$PATH"
}

# What begins with #! can be run as it is, and nothing else can.
scripts_are_executable() {
  diff <(git ls-files -s | sed -n 's/^100755 [^\t]*\t//p' | sort) \
    <(git ls-files -z | xargs -0 awk 'FNR == 1 && /^#!/ {print FILENAME} {nextfile}' | sort)
}

# The tests write checkpoints with the Python packages gguf and numpy.
find_python() {
  python=$(tools/test-python.sh) || {
    echo "check: tests on generated checkpoints will skip" >&2
    python=python3
  }
  tools/test-python.sh --openai >/dev/null || echo "check: the server is tested without OpenAI's own client" >&2
  tools/test-python.sh --tokenizers >/dev/null || echo "check: tokenizer.json is not compared with the package tokenizers" >&2
}

# configure FOLDER OPTIONS...
configure() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake -S . -B "$1" -G Ninja -DCMAKE_C_COMPILER=clang-22 -DCMAKE_CXX_COMPILER=clang++-22 \
    -DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld -DCMAKE_SHARED_LINKER_FLAGS=-fuse-ld=lld -DSTEPDOWN_TESTS=ON \
    -DPython3_EXECUTABLE="$(command -v "$python")" "${launcher[@]}" "${@:2}"
}
build_all() { configure "$build" && cmake --build "$build" -j "$jobs"; }
build_threaded() {
  configure build-tsan -DSTEPDOWN_COMPILER=OFF -DSTEPDOWN_SANITIZE=thread &&
    cmake --build build-tsan -j "$jobs" --target "${threaded[@]}"
}

# programs_in BUILD RESULTS NAME -R|-E: ctest over the programs that the pattern takes or leaves.
programs_in() {
  local status=0
  GTEST_OUTPUT="xml:$2/gtest/" ctest --test-dir "$1" -j "$jobs" --timeout 900 --output-on-failure \
    --output-junit "$2/ctest-$3.xml" "${@:4}" || status=$?
  [ -s "$2/ctest-$3.xml" ] || echo "failed ctest-$3 (status $status)" >>"$results/single"
}
programs_of() { programs_in "$build" "$results" "$@"; }

finish() {
  ! on_debian || one called-programs tools/needed-packages.py called "$results/decoys"
  # `times` prints 1m2.3s 0m4.5s for all that ran: processor time, which a busy machine does not stretch.
  local spent
  times >"$results/times" # not in $(...), which has children of its own
  spent=$(awk 'NR == 2 {for (i = 1; i <= 2; ++i) {split($i, part, /[ms]/); sum += 60 * part[1] + part[2]}; printf "%.0f", sum}' "$results/times")
  echo "== $SECONDS s in all, $spent s of processor time"
  "$python" tools/count-tests.py "$results"
}

mkdir -p "$build"
rm -rf "$results"
mkdir -p "$results/gtest"
: >"$results/single"

echo "== packages"
tools/install-packages.sh test || {
  echo "0 passed, 1 failed"
  exit 1
}
! on_debian || hide_unnamed_programs >/dev/null || {
  echo "failed called-programs" >>"$results/single"
  finish
  exit 1
}
if wants style; then
  echo "== style"
  one clang-format formatted
  one runtime-knows-no-llvm runtime_knows_no_llvm
  one runtime-knows-no-compiler runtime_knows_no_compiler
  one shared-libraries-know-below shared_libraries_know_below
  one no-streams-in-the-runtime no_streams_in_the_runtime
  one stages-know-no-stage stages_know_no_stage
  one scripts-are-executable scripts_are_executable
  ! on_debian || one script-packages tools/needed-packages.py scripts
fi
if wants docs; then
  echo "== docs"
  one generated-pages tools/gen-docs.sh --check
  one error-page python3 tools/error-docs.py --check
  one checked-models python3 tools/checked-models.py --check
  one operation-list python3 tools/operation-docs.py --check
  one prose-width tools/prose-width.py
  one pass-quotations python3 tools/pass-docs.py
fi
if wants unit || wants run || wants lit; then
  echo "== build"
  find_python
  start=$SECONDS
  if ! build_all >"$results/build.log" 2>&1; then
    tail -n 60 "$results/build.log" >&2
    echo "failed build" >>"$results/single"
    finish
    exit 1
  fi
  echo "   $((SECONDS - start)) s"
  ! on_debian || one build-packages tools/needed-packages.py files "$build"
fi
if wants unit || wants run; then
  echo "== checkpoints"
  export STEPDOWN_MODELS=${STEPDOWN_MODELS:-$root/models}
  tools/fetch-models.sh all || echo "check: cannot fetch the checkpoints; the tests that need them will skip" >&2
fi
if wants unit; then
  tools/fetch-ptxas.sh || echo "check: cannot fetch ptxas; the tests of GPU machine code will skip" >&2
  echo "== unit"
  programs_of unit -R 'Test$' -E "$programs"
fi
if wants run; then
  echo "== AArch64"
  start=$SECONDS status=0
  tools/build-aarch64.sh >"$results/aarch64-build.log" 2>&1 || status=$?
  case $status in
  0) echo "   built in $((SECONDS - start)) s" ;;
  77) tail -n 1 "$results/aarch64-build.log" >&2 && echo "check: the test of AArch64 will skip" >&2 ;;
  *)
    tail -n 60 "$results/aarch64-build.log" >&2
    echo "failed aarch64-build" >>"$results/single"
    ;;
  esac
  echo "== run"
  programs_of run -R "$programs"
  programs_of scripts -E '(Test|^lit|^ErrorDocs)$'
fi
if wants lit; then
  echo "== lit"
  lit=$("$(command -v llvm-config-22)" --bindir)/lit
  "$lit" -sv -j "$jobs" --xunit-xml-output "$results/lit.xml" "$build/test" || [ -s "$results/lit.xml" ] ||
    echo "failed lit" >>"$results/single"
fi
if wants tsan; then
  echo "== tsan"
  find_python
  start=$SECONDS
  if build_threaded >"$results/tsan-build.log" 2>&1; then
    echo "   built in $((SECONDS - start)) s"
    mkdir -p "$results/tsan/gtest"
    # Twenty times: threads meet differently each time.
    GTEST_REPEAT=20 programs_in build-tsan "$results/tsan" tsan -R "^($(IFS='|'; echo "${threaded[*]}"))\$"
  else
    tail -n 60 "$results/tsan-build.log" >&2
    echo "failed tsan-build" >>"$results/single"
  fi
fi
if wants fuzz; then
  echo "== fuzz"
  find_python
  JOBS=$jobs PYTHON=$python RESULTS=$results/single tools/fuzz.sh --seconds 10 || true # the results tell
  if cmake --build build-fuzz -j "$jobs" --target "${sanitized[@]}" >"$results/asan-build.log" 2>&1; then
    mkdir -p "$results/asan/gtest"
    programs_in build-fuzz "$results/asan" asan -R "^($(IFS='|'; echo "${sanitized[*]}"))\$"
  else
    tail -n 60 "$results/asan-build.log" >&2
    echo "failed asan-build" >>"$results/single"
  fi
fi
finish
