#!/bin/bash
# The Python package gguf makes 32 zeros of an MXFP4 block that has an infinity or a NaN.
#
# Blocks of ones with one NaN, and with one infinity, are quantised and dequantised by the package.
# Expected: an error, or numbers that show it: NaN or infinity, as its other types give.
# Seen with gguf 0.19.0 and NumPy 2.4.6: Q4_0, Q8_0 and TQ2_0 give blocks that are not all finite; MXFP4 gives 32 zeros,
# so that a broken weight becomes 32 missing ones.
#
#   findings/gguf-mxfp4-of-infinity-is-zeros.sh
#
# needs a Python package index and Python 3.11 or later; exits 0 while this is so
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q gguf==0.19.0 numpy==2.4.6 2>/dev/null ||
  { echo "expects gguf 0.19.0 and numpy 2.4.6 in the package index" >&2; exit 2; }
cd "$folder"

cat >blocks.py <<'PYTHON'
import importlib.metadata

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

np.seterr(all="ignore")
print("gguf", importlib.metadata.version("gguf"), "numpy", np.__version__)
for kind, columns in ((Type.Q4_0, 32), (Type.Q8_0, 32), (Type.TQ2_0, 256), (Type.MXFP4, 32)):
    for broken in (np.nan, np.inf):
        row = np.ones((1, columns), np.float32)
        row[0, 5] = broken
        back = quants.dequantize(quants.quantize(row, kind), kind)[0]
        finite = "all finite, %g to %g" % (back.min(), back.max()) if np.isfinite(back).all() else "not all finite"
        print(f"{kind.name}, {columns - 1} ones and {broken}: {finite}")
PYTHON
venv/bin/python blocks.py 2>/dev/null | tee seen
diff - seen <<'LINES' || { echo "changed: the lines with < were seen" >&2; exit 1; }
gguf 0.19.0 numpy 2.4.6
Q4_0, 31 ones and nan: not all finite
Q4_0, 31 ones and inf: not all finite
Q8_0, 31 ones and nan: not all finite
Q8_0, 31 ones and inf: not all finite
TQ2_0, 255 ones and nan: not all finite
TQ2_0, 255 ones and inf: not all finite
MXFP4, 31 ones and nan: all finite, 0 to 0
MXFP4, 31 ones and inf: all finite, 0 to 0
LINES
echo "as described"
