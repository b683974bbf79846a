"""Random weights of a wanted spread in every storage type of GGUF.

Where the Python package gguf has a quantiser, normal numbers are quantised; for the rest valid blocks are drawn directly
and their scales set so that the decoded values have the wanted spread and, where the type has minimums, mean zero.
"""
import numpy as np
import gguf
import gguf_types  # noqa: F401, Q1_0 and Q2_0

Kind = gguf.GGMLQuantizationType
FLOATS = ("F32", "F16", "BF16")
QUANTISED = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
DRAWN = {  # byte offsets of the binary16 scale and minimum of a block
    "Q2_K": (80, 82), "Q3_K": (108, None), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208, None),
    "IQ4_NL": (0, None), "IQ4_XS": (0, None), "MXFP4": (None, None), "NVFP4": (None, None),
    "IQ3_XXS": (0, None), "IQ3_S": (0, None), "IQ2_XXS": (0, None), "IQ2_XS": (0, None), "IQ2_S": (0, None),
    "IQ1_S": (0, None), "IQ1_M": (None, None), "TQ1_0": (52, None), "TQ2_0": (64, None), "Q2_0": (0, None), "Q1_0": (0, None),
}
RARE = ("NVFP4", "IQ3_XXS", "IQ3_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "Q2_0", "Q1_0")
TYPES = FLOATS + QUANTISED + tuple(name for name in DRAWN if name not in RARE)
MIXTURES = {"mixed": TYPES, "rare": RARE}  # of which a model has every type in turn
# What quantisers take for rows that are not whole blocks of 256.
SUBSTITUTE = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}


def fitting(name, columns):
    """`name`, or the type that quantisers put in its place for rows of `columns` values."""
    if columns % gguf.GGML_QUANT_SIZES[Kind[name]][0] == 0:
        return name
    name = SUBSTITUTE.get(name, "F16")
    return name if columns % gguf.GGML_QUANT_SIZES[Kind[name]][0] == 0 else "F16"


def put_half(blocks, at, values):
    blocks[:, at : at + 2] = np.asarray(values, "<f2").reshape(-1, 1).view(np.uint8)


def drawn(random, name, count, spread):
    """[count, block bytes] random blocks of a type without a quantiser."""
    kind = Kind[name]
    blocks = random.integers(0, 256, (count, gguf.GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
    if name == "MXFP4":
        exponent = np.round(np.log2(spread / 2.9))  # the sixteen values have a spread of 2.9
        blocks[:, 0] = np.clip(127 + exponent + random.integers(-1, 2, count), 0, 254)
        return blocks
    if name == "NVFP4":  # sixteen values and four scales, an eighth of a spread apart: mantissas of all kinds
        drawn = spread / 2.9 * 2.0 ** random.uniform(-1, 1, (count, 4))
        blocks[:, :4] = gguf.quants.NVFP4.fp32_to_ue4m3(drawn.astype(np.float32))
        return blocks
    if name == "IQ1_M":  # whose scale lies in four words
        scale_of = lambda bits: [np.uint8(bits >> 4 * i & 15) << 4 for i in range(4)]
        def put(value):
            blocks[:, 49::2] = blocks[:, 49::2] & 15 | np.array(scale_of(int(np.float16(value).view(np.uint16))), np.uint8)
        put(1)
        put(spread / gguf.quants.dequantize(blocks, kind).astype(np.float64).std())
        return blocks
    scale, minimum = DRAWN[name]
    decode = lambda: gguf.quants.dequantize(blocks, kind).astype(np.float64)
    if minimum is None:
        put_half(blocks, scale, np.ones(count))
        put_half(blocks, scale, spread / decode().std(axis=1))
        return blocks
    put_half(blocks, scale, np.ones(count))
    put_half(blocks, minimum, np.zeros(count))
    values = decode()
    put_half(blocks, scale, np.zeros(count))
    put_half(blocks, minimum, np.ones(count))
    lowered = decode()
    ratio = -values.mean(axis=1) / lowered.mean(axis=1)
    factor = spread / (values + ratio[:, None] * lowered).std(axis=1)
    put_half(blocks, scale, factor)
    put_half(blocks, minimum, factor * ratio)
    return blocks


def matrix(random, name, rows, columns, spread):
    """(array to hand to GGUFWriter.add_tensor, its type) for a [rows, columns] weight."""
    name = fitting(name, columns)
    kind = Kind[name]
    if name in DRAWN:
        elements = gguf.GGML_QUANT_SIZES[kind][0]
        return drawn(random, name, rows * columns // elements, spread).reshape(rows, -1), kind
    values = (random.standard_normal((rows, columns)) * spread).astype(np.float32)
    return gguf.quants.quantize(values, kind), kind
