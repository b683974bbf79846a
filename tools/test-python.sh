#!/bin/bash
# Prints the name of a Python that has the packages numpy and gguf, with which the tests write checkpoints: python3 where it
# has them, else that of build/venv, which is made and filled from the package index first. With --openai that of
# build/venv-openai, which has the package openai, a client for test/run/serve.py; with --tokenizers that of
# build/venv-tokenizers, which has the package tokenizers, with which test/run/tokenizer_json.py compares, beside the two.
#
#   $(tools/test-python.sh) test/data/make_model.py ...
set -euo pipefail

case ${1:-} in
'' | --openai | --tokenizers) ;;
-h | --help)
  sed -n '2,7s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "usage: test-python.sh [--openai|--tokenizers]" >&2
  exit 2
  ;;
esac
# own NAME PACKAGES...: the Python of build/venv-NAME, which has them and is named after one of them.
own() {
  local venv
  venv=$(cd "$(dirname "$0")/.." && pwd)/build/venv-$1
  if ! "$venv/bin/python" -c "import $1" 2>/dev/null; then
    echo "test-python: installing ${*:2} into build/venv-$1" >&2
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check "${@:2}"; } >&2 || {
      echo "test-python: cannot install ${*:2}" >&2
      rm -rf "$venv"
      exit 1
    }
  fi
  echo "$venv/bin/python"
  exit 0
}
[ "${1:-}" != --openai ] || own openai openai
[ "${1:-}" != --tokenizers ] || own tokenizers tokenizers gguf numpy
has_both() { "$1" -c 'import gguf, numpy' 2>/dev/null; }
if has_both python3; then
  command -v python3
  exit 0
fi
venv=$(cd "$(dirname "$0")/.." && pwd)/build/venv
if ! has_both "$venv/bin/python"; then
  echo "test-python: installing gguf and numpy into build/venv" >&2
  { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check gguf numpy; } >&2 || {
    echo "test-python: cannot install gguf and numpy (the packages are those of tools/install-packages.sh test)" >&2
    exit 1
  }
fi
echo "$venv/bin/python"
