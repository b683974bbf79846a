#!/usr/bin/env python3
"""Writes blocks/TYPE.bin (random valid blocks) and blocks/TYPE.f32 (what the Python package gguf decodes them to).

    pip install numpy gguf
    make_blocks.py [FOLDER]

The package's dequantiser shares no code with lib/Checkpoint, so the files are an independent reference. Scales are drawn
normal, subnormal, zero and negative; blocks that decode to something that is not finite are drawn again.
"""
import os, sys
import numpy as np
import gguf
import gguf_types  # noqa: F401, Q1_0 and Q2_0

TYPES = {  # name: (bytes of a block, byte offsets of its binary16 fields)
    "Q4_0": (18, [0]), "Q4_1": (20, [0, 2]), "Q5_0": (22, [0]), "Q5_1": (24, [0, 2]), "Q8_0": (34, [0]),
    "Q2_K": (84, [80, 82]), "Q3_K": (110, [108]), "Q4_K": (144, [0, 2]), "Q5_K": (176, [0, 2]), "Q6_K": (210, [208]),
    "IQ4_NL": (18, [0]), "IQ4_XS": (136, [0]), "MXFP4": (17, []), "NVFP4": (36, []),
    "IQ3_XXS": (98, [0]), "IQ3_S": (110, [0]), "IQ2_XXS": (66, [0]), "IQ2_XS": (74, [0]), "IQ2_S": (82, [0]),
    "IQ1_S": (50, [0]), "IQ1_M": (56, []), "TQ1_0": (54, [52]), "TQ2_0": (66, [64]), "Q2_0": (18, [0]), "Q1_0": (18, [0]),
}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks")
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(20)
    for name, (size, halves) in TYPES.items():
        kind = gguf.GGMLQuantizationType[name]
        count = 3 if gguf.GGML_QUANT_SIZES[kind][0] == 256 else 8
        blocks = np.empty((count, size), np.uint8)
        for i in range(count):
            while True:
                block = random.integers(0, 256, size, dtype=np.uint8)
                for at in halves if i == 1 else []:  # subnormal scales
                    block[at + 1] &= 0x83
                for at in halves if i == 2 else []:  # zero scales, one of them negative
                    block[at], block[at + 1] = 0, block[at + 1] & 0x80
                if name == "MXFP4" and i < 4:  # subnormal scales
                    block[0] = i
                with np.errstate(all="ignore"):
                    if np.isfinite(gguf.quants.dequantize(block[None], kind)).all():
                        break
            blocks[i] = block
        blocks.tofile(os.path.join(folder, name.lower() + ".bin"))
        gguf.quants.dequantize(blocks, kind).astype("<f4").tofile(os.path.join(folder, name.lower() + ".f32"))


main()
