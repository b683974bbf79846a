#include "lib/Base/Sha256.h"
#include <algorithm>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace stepdown {
namespace {

constexpr uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

} // namespace

void Sha256::portable(std::array<uint32_t, 8> &state, const uint8_t *bytes, size_t count) {
  for (; count; --count, bytes += 64) {
    uint32_t w[64];
    for (int i = 0; i < 16; ++i)
      w[i] = uint32_t(bytes[4 * i]) << 24 | uint32_t(bytes[4 * i + 1]) << 16 | uint32_t(bytes[4 * i + 2]) << 8 |
             bytes[4 * i + 3];
    for (int i = 16; i < 64; ++i) {
      uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
      uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (int i = 0; i < 64; ++i) {
      uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
      uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    uint32_t sums[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i)
      state[i] += sums[i];
  }
}

#if defined(__x86_64__)
// SHA256RNDS2 makes two rounds. It holds the state as (f, e, b, a) and (h, g, d, c), lowest lane first; what two rounds
// leave of the first is the second of the next two.
__attribute__((target("sha,sse4.1"))) void Sha256::instructions(std::array<uint32_t, 8> &state, const uint8_t *bytes,
                                                                size_t count) {
  const __m128i bigEndian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  const auto [a, b, c, d, e, f, g, h] = state;
  __m128i feba = _mm_set_epi32(int(a), int(b), int(e), int(f)), hgdc = _mm_set_epi32(int(c), int(d), int(g), int(h));
  for (; count; --count, bytes += 64) {
    const __m128i before[] = {feba, hgdc};
    __m128i w[4]; // the last 16 words of the schedule, the oldest four at the place of the next four
    for (int quarter = 0; quarter < 4; ++quarter)
      for (int i = 0; i < 4; ++i) {
        if (quarter == 0)
          w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes + 16 * i)), bigEndian);
        else
          w[i] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i], w[(i + 1) % 4]),
                                                    _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4)),
                                      w[(i + 3) % 4]);
        const __m128i sum =
            _mm_add_epi32(w[i], _mm_loadu_si128(reinterpret_cast<const __m128i *>(constants + 16 * quarter + 4 * i)));
        hgdc = _mm_sha256rnds2_epu32(hgdc, feba, sum);
        feba = _mm_sha256rnds2_epu32(feba, hgdc, _mm_shuffle_epi32(sum, 0x0e)); // its upper two words
      }
    feba = _mm_add_epi32(feba, before[0]);
    hgdc = _mm_add_epi32(hgdc, before[1]);
  }
  const auto lanes = [](__m128i four, auto &...words) {
    alignas(16) uint32_t all[4];
    _mm_store_si128(reinterpret_cast<__m128i *>(all), four);
    size_t i = 0;
    ((words = all[i++]), ...);
  };
  lanes(feba, state[5], state[4], state[1], state[0]);
  lanes(hgdc, state[7], state[6], state[3], state[2]);
}

/// Whether the processor has what instructions() uses: SSSE3, SSE4.1 and SHA, of leaves 1 and 7.
static bool hasInstructions() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
    return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
}
#else
void Sha256::instructions(std::array<uint32_t, 8> &state, const uint8_t *bytes, size_t count) {
  portable(state, bytes, count);
}
static bool hasInstructions() { return false; }
#endif

Sha256::Sha256(Way way) {
  static const bool has = hasInstructions();
  blocks = way == Way::fastest && has ? instructions : portable;
}

void Sha256::add(const void *bytes, size_t size) {
  auto *p = static_cast<const uint8_t *>(bytes);
  size_t held = length % 64;
  length += size;
  if (held) {
    size_t taken = std::min(size, 64 - held);
    std::memcpy(pending.data() + held, p, taken);
    p += taken;
    size -= taken;
    if (held + taken < 64)
      return;
    blocks(state, pending.data(), 1);
  }
  blocks(state, p, size / 64);
  std::memcpy(pending.data(), p + size / 64 * 64, size % 64);
}

std::array<uint8_t, 32> Sha256::digest() {
  uint64_t bits = length * 8;
  uint8_t pad[72] = {0x80};
  size_t zeros = (119 - length % 64) % 64 + 1; // up to eight bytes before the end of a block
  add(pad, zeros);
  uint8_t size[8];
  for (int i = 0; i < 8; ++i)
    size[i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  add(size, 8);
  std::array<uint8_t, 32> bytes;
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return bytes;
}

std::string Sha256::finish() {
  std::string text;
  for (uint8_t byte : digest())
    (text += "0123456789abcdef"[byte >> 4]) += "0123456789abcdef"[byte & 15];
  return text;
}

} // namespace stepdown
