// Where elements of tiles lie: fragments of matrix instructions in registers, swizzled tiles and the operands of wgmma
// in shared memory. Written from the PTX ISA; tests compare every function with the vendor's own tables.
#pragma once
#include <cstdint>

namespace stepdown::emulated {

struct Place {
  uint32_t row, column;
};

/// Operand A of mma.m16n8 and of wgmma with A in registers: value `value` of `thread` (of a warp, or of a warpgroup),
/// elements of `bytes` bytes, four of which registers of 4 bytes hold.
constexpr Place placeA(uint32_t thread, uint32_t value, uint32_t bytes) {
  const uint32_t perRegister = 4 / bytes, number = value / perRegister, inside = value % perRegister;
  return {thread / 32 * 16 + thread % 32 / 4 + number % 2 * 8,
          thread % 4 * perRegister + inside + number / 2 * 4 * perRegister};
}

/// Operand B of mma.m16n8: row is n, column is k.
constexpr Place placeB(uint32_t thread, uint32_t value, uint32_t bytes) {
  const uint32_t perRegister = 4 / bytes, number = value / perRegister, inside = value % perRegister;
  return {thread / 4, thread % 4 * perRegister + inside + number * 4 * perRegister};
}

/// Accumulators of mma.m16n8 and of wgmma.
constexpr Place placeC(uint32_t thread, uint32_t value) {
  return {thread / 32 * 16 + thread % 32 / 4 + value / 2 % 2 * 8, value / 4 * 8 + thread % 4 * 2 + value % 2};
}

/// Operands of MFMA, of `rows` (16 or 32) x k elements of a wave of 64: row is m (of B: n), column is k.
constexpr Place placeMfmaOperand(uint32_t lane, uint32_t value, uint32_t rows, uint32_t k) {
  return {lane % rows, lane / rows * (rows * k / 64) + value};
}

/// Sums of MFMA, of rows x rows.
constexpr Place placeMfmaSum(uint32_t lane, uint32_t value, uint32_t rows) {
  return {value / 4 * (256 / rows) + lane / rows * 4 + value % 4, lane % rows};
}

/// Operands of a 16x16x16 WMMA of gfx11, which both halves of a wave of 32 hold alike, and its sums.
constexpr Place placeWmmaOperandGfx11(uint32_t lane, uint32_t value) { return {lane % 16, value}; }
constexpr Place placeWmmaSumGfx11(uint32_t lane, uint32_t value) { return {2 * value + lane / 16, lane % 16}; }

/// The same of gfx12, of elements of `bytes` bytes: two registers of neighbouring k, then the other half's two.
constexpr Place placeWmmaOperandGfx12(uint32_t lane, uint32_t value, uint32_t bytes) {
  const uint32_t run = 8 / bytes;
  return {lane % 16, value / run * 2 * run + lane / 16 * run + value % run};
}
constexpr Place placeWmmaSumGfx12(uint32_t lane, uint32_t value) { return {value + lane / 16 * 8, lane % 16}; }

/// Byte address in shared memory -> where the hardware keeps it. `mode`: 0 none, 1 32 bytes, 2 64 bytes, 3 128 bytes.
constexpr uint64_t swizzle(uint64_t address, uint32_t mode) {
  return address ^ (address >> 7 & ((1u << mode) - 1)) << 4;
}

/// The matrix descriptor of a wgmma operand in shared memory, taken apart.
struct MatrixDescriptor {
  uint32_t start, leading, stride; ///< bytes; `start` from the beginning of the block's shared memory
  uint32_t baseOffset;
  uint32_t mode; ///< of swizzle()

  static constexpr MatrixDescriptor decode(uint64_t bits) {
    const uint32_t layout = bits >> 62;
    return {uint32_t(bits & 0x3fff) << 4, uint32_t(bits >> 16 & 0x3fff) << 4, uint32_t(bits >> 32 & 0x3fff) << 4,
            uint32_t(bits >> 49 & 7), layout ? 4 - layout : 0};
  }

  /// Address of byte `byte` of row `row` (m or n) of an operand whose rows lie along k.
  constexpr uint32_t alongK(uint32_t row, uint32_t byte) const {
    if (mode == 0)
      return start + row / 8 * stride + byte / 16 * leading + row % 8 * 16 + byte % 16;
    return uint32_t(swizzle(start + row / 8 * stride + row % 8 * (16u << mode) + byte, mode));
  }

  /// Address of byte `byte` along m or n at depth `k` of an operand that lies along m or n; mode 1 to 3.
  constexpr uint32_t alongMN(uint32_t k, uint32_t byte) const {
    const uint32_t width = 16u << mode;
    return uint32_t(swizzle(start + byte / width * leading + k / 8 * stride + k % 8 * width + byte % width, mode));
  }
};

} // namespace stepdown::emulated
