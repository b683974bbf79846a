#!/bin/bash
# Fetches ptxas, NVIDIA's assembler of PTX, from the Python package nvidia-cuda-nvcc, verifies its hash and puts it into
# build/ptxas/. What is there and right is left alone. Without it kernels are PTX alone, and tests of machine code skip.
# ptxas 12.8 and 13.0 are known to make wrong code for some sm_90a kernels, so that of an older toolkit does not do.
#
#   tools/fetch-ptxas.sh          PYTHON names another interpreter than python3 (it needs pip)
set -euo pipefail

case ${1:-} in
'') ;;
-h | --help)
  sed -n '2,7s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "usage: fetch-ptxas.sh" >&2
  exit 2
  ;;
esac
version=13.5.37
hash=b3e295413e9628ee261a63ea3f70ec5af20988c9809214c064661662206574a3
target=$(cd "$(dirname "$0")/.." && pwd)/build/ptxas
python=${PYTHON:-python3}
if [ -f "$target/ptxas" ] && [ "$(sha256sum "$target/ptxas" | cut -d ' ' -f 1)" = "$hash" ]; then
  echo "fetch-ptxas: $target/ptxas is there and verified" >&2
  exit 0
fi
mkdir -p "$target"
scratch=$(mktemp -d "$target/.fetch-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
"$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$scratch" \
  "nvidia-cuda-nvcc==$version" >&2 || {
  echo "fetch-ptxas: cannot fetch nvidia-cuda-nvcc $version from the package index" >&2
  exit 1
}
"$python" - "$scratch" <<'UNPACK'
import glob, sys, zipfile
folder, = sys.argv[1:]
archive = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
member, = [name for name in archive.namelist() if name.endswith("/bin/ptxas")]
with open(folder + "/ptxas", "wb") as out:
    out.write(archive.read(member))
UNPACK
got=$(sha256sum "$scratch/ptxas" | cut -d ' ' -f 1)
[ "$got" = "$hash" ] || {
  echo "fetch-ptxas: expects ptxas with SHA-256 $hash, but got $got" >&2
  exit 1
}
chmod +x "$scratch/ptxas"
mv "$scratch/ptxas" "$target/ptxas"
echo "fetch-ptxas: $target/ptxas, version $version" >&2
