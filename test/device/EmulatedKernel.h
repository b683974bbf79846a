// Text of a kernel as code in an emulator, and a product's tensors.
#pragma once
#include "lib/CodeGen/Emulation.h"
#include "lib/CodeGen/KernelModule.h"
#include "runtime/emulated/Emulator.h"
#include "test/device/ProductKernel.h"
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace stepdown::test {

/// Lowered, rewritten, compiled and loaded; `error` says what failed.
struct EmulatedKernel {
  emulated::Emulator emulator;
  std::string error;
  explicit EmulatedKernel(const std::string &text, const char *chip = "sm_90a") {
    Result<KernelModule> module = translateKernels(text, "kernel.mlir", chip);
    if (!module)
      error = module.error().text();
    else
      load(*module->module);
  }
  explicit EmulatedKernel(llvm::Module &module, bool quickly = false) { load(module, quickly); }

private:
  void load(llvm::Module &module, bool quickly = false) {
    Result<EmulatedCode> code = emulateKernels(module, quickly);
    if (!code) {
      error = code.error().text();
      return;
    }
    if (Status loaded = emulator.load(code->code.data(), code->code.size(), code->table.data(), code->table.size());
        !loaded)
      error = loaded.error().text();
  }
};

inline uint16_t toBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float fromBf16(uint16_t value) {
  const uint32_t bits = uint32_t(value) << 16;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}

/// A map of `rows` x `columns` elements of so many bytes with `stride` elements a row, in boxes of `boxRows` x
/// `boxColumns`.
inline stepdown_tensor_map tensorMap(const void *data, uint32_t rows, uint32_t columns, uint32_t stride,
                                     uint32_t boxRows, uint32_t boxColumns, uint32_t swizzle, uint32_t bytes = 2) {
  stepdown_tensor_map map = {};
  map.address = reinterpret_cast<uint64_t>(data);
  map.sizes[0] = columns;
  map.sizes[1] = rows;
  map.strides[0] = stride * bytes / 16;
  map.box[0] = uint16_t(boxColumns);
  map.box[1] = uint16_t(boxRows);
  map.rank = 2;
  map.element_bytes = uint8_t(bytes);
  map.swizzle = uint8_t(swizzle);
  map.check = STEPDOWN_EMULATION_MAGIC;
  return map;
}

/// A[m, k], B[n, k] and C[m, n] in bf16, rows padded to multiples of 16 bytes.
class ProductProblem {
public:
  ProductProblem(uint32_t m, uint32_t n, uint32_t k)
      : m(m), n(n), k(k), strideK((k + 7) / 8 * 8), strideN((n + 7) / 8 * 8) {
    std::mt19937 random(m * 31 + n * 17 + k);
    std::uniform_real_distribution<float> uniform(-1, 1);
    a.resize(m * strideK + 8, 0x7fc0); // between the rows: NaN
    b.resize(n * strideK + 8, 0x7fc0);
    c.assign(m * strideN + 8, 0x7fc0);
    for (uint32_t i = 0; i < m; ++i)
      for (uint32_t x = 0; x < k; ++x)
        a[i * strideK + x] = toBf16(uniform(random));
    for (uint32_t j = 0; j < n; ++j)
      for (uint32_t x = 0; x < k; ++x)
        b[j * strideK + x] = toBf16(uniform(random));
  }

  Status run(emulated::Emulator &emulator, const ProductKernel &kernel, uint64_t seed, uint64_t bound = 1 << 24) {
    emulator.map(a.data(), a.size() * 2, false);
    emulator.map(b.data(), b.size() * 2, false);
    emulator.map(c.data(), c.size() * 2);
    struct alignas(64) {
      stepdown_tensor_map maps[3];
      int32_t steps;
    } parameters = {{tensorMap(a.data(), m, k, strideK, 64, 64, 3), tensorMap(b.data(), n, k, strideK, kernel.n, 64, 3),
                     tensorMap(c.data(), m, n, strideN, 64, kernel.n, 0)},
                    int32_t((k + 63) / 64)};
    emulated::LaunchShape shape;
    shape.grid = {(n + kernel.n - 1) / kernel.n, (m + 63) / 64, 1};
    shape.block = {kernel.blockThreads(), 1, 1};
    shape.sharedBytes = kernel.sharedBytes();
    emulated::Options options;
    options.seed = seed;
    options.bound = bound;
    Status status = emulator.launch("product", shape, &parameters, sizeof parameters.maps + 4, options);
    emulator.unmap(a.data());
    emulator.unmap(b.data());
    emulator.unmap(c.data());
    return status;
  }

  /// The first element that is not what float64 gives, within half a unit of bf16 and k roundings of f32 sums of up to
  /// sum |a b|; or one outside of C that was written.
  std::string wrong() const {
    for (uint32_t i = 0; i < m; ++i)
      for (uint32_t j = 0; j < strideN; ++j) {
        const float got = fromBf16(c[i * strideN + j]);
        if (j >= n) {
          if (!std::isnan(got))
            return "row " + std::to_string(i) + " column " + std::to_string(j) + " lies outside, but was written";
          continue;
        }
        double sum = 0, magnitude = 0;
        for (uint32_t x = 0; x < k; ++x) {
          const double p = double(fromBf16(a[i * strideK + x])) * fromBf16(b[j * strideK + x]);
          sum += p;
          magnitude += std::fabs(p);
        }
        if (!(std::fabs(got - sum) <= std::fabs(sum) * 0x1p-8 + magnitude * k * 0x1p-24))
          return "row " + std::to_string(i) + " column " + std::to_string(j) + ": expects " + std::to_string(sum) +
                 ", but got " + std::to_string(got);
      }
    return "";
  }

private:
  uint32_t m, n, k, strideK, strideN;
  std::vector<uint16_t> a, b, c;
};

} // namespace stepdown::test
