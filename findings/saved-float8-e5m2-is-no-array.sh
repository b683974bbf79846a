#!/bin/bash
# What NumPy saves of an array of float8_e5m2, NumPy refuses to load; of the other narrow types it loads bytes without type.
#
# 1 and -0.5 of each type of ml_dtypes are saved by numpy.save and loaded by numpy.load; so are they by numpy.savez, of
# which the loading is tried, too.
# Expected: the array that was saved, or that saving refuses a type whose name the file format cannot hold.
# Seen with ml_dtypes 0.6.0 and NumPy 2.4.6: the type is written as '<f1' for float8_e5m2, the one that has kind 'f' there,
# and numpy.load says that this is no type: the file is whole and nothing of NumPy reads it. The other types have kind 'V'
# and are written as '<V1' or '<V2', which load as numpy.void; '<V1' is the name of six formats of 8 bits, so a
# reader must be told which one it is.
#
#   findings/saved-float8-e5m2-is-no-array.sh
#
# needs a Python package index and Python 3.11 or later; exits 0 while this is so
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ml_dtypes==0.6.0 numpy==2.4.6 2>/dev/null ||
  { echo "expects ml_dtypes 0.6.0 and numpy 2.4.6 in the package index" >&2; exit 2; }
cd "$folder"

cat >save.py <<'PYTHON'
import ast

import ml_dtypes
import numpy as np

NAMES = "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz".split()
print("ml_dtypes", ml_dtypes.__version__, "numpy", np.__version__)
for name in NAMES:
    saved = np.array([1, -0.5]).astype(getattr(ml_dtypes, name))
    np.save("one.npy", saved)
    with open("one.npy", "rb") as file:
        file.read(10)  # magic, version and length of the header
        written = ast.literal_eval(file.readline().decode())["descr"]
    np.savez("some.npz", saved)
    said = []
    for load in (lambda: np.load("one.npy"), lambda: np.load("some.npz")["arr_0"]):
        try:
            loaded = load()
            said.append(f"{loaded.dtype} with {'the same' if loaded.tobytes() == saved.tobytes() else 'other'} bytes")
        except ValueError as error:
            said.append(f"ValueError: {error}")
    print(f"{name}: kind {saved.dtype.kind}, written as {written}, loaded as {' and '.join(dict.fromkeys(said))}")
PYTHON
venv/bin/python save.py | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
ml_dtypes 0.6.0 numpy 2.4.6
bfloat16: kind V, written as <V2, loaded as |V2 with the same bytes
float8_e3m4: kind V, written as <V1, loaded as |V1 with the same bytes
float8_e4m3: kind V, written as <V1, loaded as |V1 with the same bytes
float8_e4m3b11fnuz: kind V, written as <V1, loaded as |V1 with the same bytes
float8_e4m3fn: kind V, written as <V1, loaded as |V1 with the same bytes
float8_e4m3fnuz: kind V, written as <V1, loaded as |V1 with the same bytes
float8_e5m2: kind f, written as <f1, loaded as ValueError: descr is not a valid dtype descriptor: '<f1'
float8_e5m2fnuz: kind V, written as <V1, loaded as |V1 with the same bytes
LINES
echo "as described"
