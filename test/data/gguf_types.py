"""Teaches the Python package gguf 0.19 the types Q1_0 and Q2_0: their numbers, sizes and values.

The formulas are those of dequantize_row_q1_0 and dequantize_row_q2_0 of ggml (ggml-quants.c of llama.cpp as the Python
package llama_cpp_python 0.3.36 carries it).
"""
import gguf
import numpy as np

Kind = gguf.GGMLQuantizationType
Quant = getattr(gguf.quants, "__Quant")


def known(name, number, size):
    if name not in Kind.__members__:
        member = int.__new__(Kind, number)
        member._name_, member._value_ = name, number
        Kind._member_map_[name], Kind._value2member_map_[number] = member, member
        Kind._member_names_.append(name)
    gguf.GGML_QUANT_SIZES.setdefault(Kind[name], size)
    return Kind[name]


def values(blocks, bits):
    """[blocks, values] codes, the first in the lowest bits of the first byte."""
    codes = blocks[:, 2:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (1 << bits) - 1
    return blocks[:, :2].copy().view(np.float16).astype(np.float32), codes.reshape(len(blocks), -1)


if known("Q1_0", 41, (128, 18)) not in gguf.quants._type_traits:
    class Q1_0(Quant, qtype=Kind.Q1_0):
        @classmethod
        def dequantize_blocks(cls, blocks):
            d, codes = values(blocks, 1)
            return np.where(codes, d, -d)

if known("Q2_0", 42, (64, 18)) not in gguf.quants._type_traits:
    class Q2_0(Quant, qtype=Kind.Q2_0):
        @classmethod
        def dequantize_blocks(cls, blocks):
            d, codes = values(blocks, 2)
            return (codes.astype(np.float32) - 1) * d
