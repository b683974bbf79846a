#!/bin/bash
# torch makes 448 of infinity where it converts to float8_e4m3fn, and to no other 8-bit type.
#
# float8_e4m3fn has no infinity, but has NaN. Numbers beyond the largest and infinities are converted from float32,
# float16, bfloat16 and float64, alone and in arrays that vector code converts, to each 8-bit type, and compared with
# what ml_dtypes makes of them.
# Expected: infinity is NaN where a type has none, as in ml_dtypes and, until then, in torch (pytorch/ao issue 1912); at
# least the same in e4m3fn and e4m3fnuz, neither of which has one.
# Seen with torch 2.15.0 and ml_dtypes 0.6.0, on a processor: e4m3fn of 464.1, 1e6 and infinity is 448, of their
# negatives -448, silently; e4m3fnuz and e5m2fnuz of 1e6 and infinity are NaN, e5m2 has infinity. ml_dtypes has NaN of
# all three in e4m3fn. An activation that has overflowed is no longer found behind such a conversion.
# Why: since pull request 178817 of pytorch/pytorch conversions to e4m3fn saturate, which it says of finite numbers.
#
#   findings/torch-infinity-becomes-448.sh
#
# needs a Python package index, Python 3.11 or later and 6 GB for torch; exits 0 while this is so
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.15.0 ml_dtypes==0.6.0 numpy==2.4.6 2>/dev/null ||
  { echo "expects torch 2.15.0, ml_dtypes 0.6.0 and numpy 2.4.6 in the package index" >&2; exit 2; }
cd "$folder"

cat >convert.py <<'PYTHON'
import math
import ml_dtypes
import numpy as np
import torch

print("torch", torch.__version__, "ml_dtypes", ml_dtypes.__version__)
GIVEN = (464.0, 464.1, 1e6, math.inf)  # 464 lies halfway to what would be the next number, and goes to the even 448
same = lambda a, b: a == b or (math.isnan(a) and math.isnan(b))
expected = {  # type: what torch makes of these, and what ml_dtypes does
    "float8_e4m3fn": ([448, 448, 448, 448], [448, math.nan, math.nan, math.nan]),
    "float8_e4m3fnuz": ([math.nan] * 4, [math.nan] * 4),
    "float8_e5m2": ([448, 448, math.inf, math.inf], [448, 448, math.inf, math.inf]),
    "float8_e5m2fnuz": ([448, 448, math.nan, math.nan], [448, 448, math.nan, math.nan]),
}
failed = False
for name, (torchs, others) in expected.items():
    for sign in (1, -1):
        for value, wanted, other in zip(GIVEN, torchs, others):
            for kind in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
                if kind in (torch.bfloat16, torch.float16) and value not in (464.0, math.inf):
                    continue  # they have other numbers
                for count in (1, 3, 64, 101):
                    made = torch.full((count,), sign * value, dtype=kind).to(getattr(torch, name)).float().tolist()
                    if not all(same(x, sign * wanted) for x in made):
                        failed = True
                        print(f"{name} of {sign * value} ({kind}, {count} of them): {made[0]}, not {sign * wanted}")
            with np.errstate(all="ignore"):
                theirs = float(np.float32(sign * value).astype(getattr(ml_dtypes, name)))
            if not same(theirs, sign * other):
                failed = True
                print(f"{name} of {sign * value}: ml_dtypes: {theirs}, not {sign * other}")
    print(f"{name}: of {GIVEN} torch makes {torchs}, ml_dtypes {others}")
raise SystemExit(failed)
PYTHON

"$folder/venv/bin/python" convert.py && echo "as seen"
