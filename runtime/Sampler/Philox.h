// Philox4x32-10: a counter-based random number generator, in which the n-th number is a function of n.
//
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.2 and table 2. Ten
// rounds of a keyed bijection on 128 bits: the key is the seed, the counter is (position, request). So a draw depends
// on nothing that other requests, batches or threads do, and a restarted answer continues with the same numbers.
#pragma once
#include <array>
#include <cstdint>

namespace stepdown {

/// 128 random bits for (seed, request, position).
inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t request, uint64_t position) {
  uint32_t x0 = static_cast<uint32_t>(position), x1 = static_cast<uint32_t>(position >> 32);
  uint32_t x2 = static_cast<uint32_t>(request), x3 = static_cast<uint32_t>(request >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = uint64_t(0xD2511F53) * x0, p1 = uint64_t(0xCD9E8D57) * x2;
    uint32_t y0 = static_cast<uint32_t>(p1 >> 32) ^ x1 ^ k0, y2 = static_cast<uint32_t>(p0 >> 32) ^ x3 ^ k1;
    x1 = static_cast<uint32_t>(p1);
    x3 = static_cast<uint32_t>(p0);
    x0 = y0;
    x2 = y2;
    k0 += 0x9E3779B9; // the golden ratio and sqrt(3) - 1, as in the paper
    k1 += 0xBB67AE85;
  }
  return {x0, x1, x2, x3};
}

/// A double in [0, 1) with 53 random bits.
inline double uniform(uint32_t high, uint32_t low) {
  return static_cast<double>((uint64_t(high) << 32 | low) >> 11) * 0x1p-53;
}

} // namespace stepdown
