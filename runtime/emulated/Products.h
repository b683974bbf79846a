// The arithmetic of matrix instructions.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stepdown::emulated {

/// Element types of matrix instructions, as modifiers of operations number them.
enum class ElementType : int32_t { F32, F16, BF16, TF32, E4M3, E5M2, S8, U8, S32, E4M3FNUZ };

/// Bytes of an element.
uint32_t elementBytes(ElementType type);

/// `count` elements as floats; integers are exact.
void toFloats(ElementType type, const uint8_t *from, size_t count, float *to);

/// sums[rows, n] += a[rows, k] * b[k, n], each sum in order of k, with fused multiply-add. `n` is a multiple of 8.
void multiply(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k);
/// What a matrix instruction of a wave makes of sums that each lane has of one column: sums[lane][rows of the lane] is
/// what stands `given` numbers behind it + a[lane / rows, k, rows of the lane] * b[lane % rows, k], in order of k as
/// well, with fused multiply-add. A lane has rows * rows / lanes rows: 4, 8 or 16.
void multiplyColumns(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes, uint32_t rows,
                     uint32_t k);
/// The same of 32-bit integers that sums are the bits of; products wrap.
void multiplyColumnsOfIntegers(float *const *sums, uint32_t given, const float *a, const float *b, uint32_t lanes,
                               uint32_t rows, uint32_t k);
/// multiply() where no more than `bits` significant bits are kept: the sum and its k products are cut off, towards
/// zero, where those of the largest of them end, added up, and the result is cut off so. A model of fp8 on Hopper after
/// what DeepSeek-AI (DeepSeek-V3, 2024, section 3.5.2) measured, 14 bits of 32 products at a time; NVIDIA says nothing
/// of it.
void multiplyNarrow(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k, uint32_t bits);
/// multiply() of 32-bit integers that `sums` holds the bits of; products wrap.
void multiplyIntegers(float *sums, const float *a, const float *b, uint32_t rows, uint32_t n, uint32_t k);

} // namespace stepdown::emulated
