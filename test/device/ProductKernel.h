// A matrix product as a Hopper kernel, written by hand in nvvm: what the emulator is tested with, beside and before the
// kernels that the compiler makes.
#pragma once
#include <cstdint>
#include <string>

namespace stepdown::test {

/// C[m, n] = A[m, k] * B[n, k]^T in bf16, sums in f32; a block computes 64 x n, in steps of 64 along k.
struct ProductKernel {
  uint32_t n = 32;                              ///< columns of a tile, a multiple of 16 up to 256
  uint32_t stages = 2;                          ///< tiles of A and B that fit in shared memory
  bool registersA = false;                      ///< A goes through registers (ldmatrix), B from shared memory
  uint32_t blockThreads() const { return 160; } ///< a warpgroup that multiplies, a warp that loads
  uint32_t bytesA() const { return 64 * 128; }
  uint32_t bytesB() const { return n * 128; }
  uint32_t offsetB() const { return stages * bytesA(); }
  uint32_t offsetC() const { return offsetB() + (stages * bytesB() + 1023) / 1024 * 1024; }
  uint32_t offsetBarriers() const { return offsetC() + 64 * n * 2; }
  uint32_t sharedBytes() const { return offsetBarriers() + 16 * stages; }
  /// The text of module and kernel @product(A, B, C: tensor maps, k: i32, number of steps).
  std::string text() const;
};

} // namespace stepdown::test
