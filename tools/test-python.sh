#!/bin/bash
# Prints the name of a Python that has the packages numpy and gguf, with which the tests write checkpoints: python3 where it
# has them, else that of build/venv, which is made and filled from the package index first. With --openai that of
# build/venv-openai, which has the package openai, a client for test/run/serve.py.
#
#   $(tools/test-python.sh) test/data/make_model.py ...
set -euo pipefail

case ${1:-} in
'' | --openai) ;;
-h | --help)
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 0
  ;;
*)
  echo "usage: test-python.sh [--openai]" >&2
  exit 2
  ;;
esac
if [ "${1:-}" = --openai ]; then
  venv=$(cd "$(dirname "$0")/.." && pwd)/build/venv-openai
  if ! "$venv/bin/python" -c 'import openai' 2>/dev/null; then
    echo "test-python: installing openai into build/venv-openai" >&2
    { python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check openai; } >&2 || {
      echo "test-python: cannot install openai" >&2
      rm -rf "$venv"
      exit 1
    }
  fi
  echo "$venv/bin/python"
  exit 0
fi
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
