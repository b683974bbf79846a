// What the machine can do, in one line of JSON, for the shares in test/bench/formats.py: 8-bit products a second, and
// how fast threads together read memory that no cache holds.
//   ninja -C build Limits && build/bin/Limits BYTES THREADS
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <immintrin.h>
#include <memory>
#include <sys/mman.h>
#include <thread>
#include <vector>

static double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// The shortest of several runs of `work(thread)` on all threads at once, in seconds.
static double shortest(int threads, int runs, const std::function<void(int)> &work) {
  double best = 1e30;
  for (int run = 0; run < runs; ++run) {
    std::vector<std::thread> others;
    const double begin = seconds();
    for (int t = 1; t < threads; ++t)
      others.emplace_back(work, t);
    work(0);
    for (std::thread &other : others)
      other.join();
    best = std::min(best, seconds() - begin);
  }
  return best;
}

/// Loads each of `bytes` bytes once, a register at a time, as a kernel that streams weights does.
template <bool ahead> __attribute__((target("avx2"))) static void readAll(const char *from, size_t bytes) {
  __m256i a = _mm256_setzero_si256(), b = a;
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    if (ahead)
      _mm_prefetch(from + i + 4096, _MM_HINT_T0);
    a = _mm256_xor_si256(a, _mm256_load_si256(reinterpret_cast<const __m256i *>(from + i)));
    b = _mm256_xor_si256(b, _mm256_load_si256(reinterpret_cast<const __m256i *>(from + i + 32)));
  }
  asm volatile("" : : "x"(_mm256_xor_si256(a, b)));
}

constexpr int kChains = 12; ///< sums in flight: more than the latency of a product times those of a cycle
constexpr long kTurns = 20 * 1000 * 1000;

/// kTurns * kChains four-way products of 8 lanes: vpmaddubsw, vpmaddwd and a sum.
__attribute__((target("avx2"))) static void products256() {
  __m256i sums[kChains] = {}, codes = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (long turn = 0; turn < kTurns; ++turn) {
    for (__m256i &sum : sums) {
      asm volatile("" : "+x"(codes)); // another product each time, for all that the compiler knows
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, codes), ones));
    }
  }
  for (__m256i sum : sums)
    asm volatile("" : : "x"(sum));
}

/// The same of 16 lanes: vpdpbusd.
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void products512() {
  __m512i sums[kChains] = {}, codes = _mm512_set1_epi8(3);
  for (long turn = 0; turn < kTurns; ++turn) {
    for (__m512i &sum : sums)
      sum = _mm512_dpbusd_epi32(sum, codes, codes);
  }
  for (__m512i sum : sums)
    asm volatile("" : : "v"(sum));
}

int main(int argc, char **argv) {
  const size_t bytes = argc == 3 ? std::strtoull(argv[1], nullptr, 10) / 64 * 64 : 0;
  const int threads = argc == 3 ? std::atoi(argv[2]) : 0;
  if (bytes == 0 || threads < 1 || threads > 1024) {
    std::fprintf(stderr, "usage: Limits BYTES THREADS\n");
    return 2;
  }
  constexpr size_t kHuge = 2 << 20;
  const size_t room = (bytes + 4096 + kHuge - 1) / kHuge * kHuge;
  std::unique_ptr<char, void (*)(void *)> memory(static_cast<char *>(std::aligned_alloc(kHuge, room)), std::free);
  if (!memory) {
    std::fprintf(stderr, "Limits: expects %zu bytes of memory, but got none\n", bytes);
    return 1;
  }
  madvise(memory.get(), room, MADV_HUGEPAGE); // as fast as it gets: small pages are read up to a third slower
  std::memset(memory.get(), 1, room);
  const size_t share = bytes / threads / 64 * 64;
  auto read = [&](auto all) {
    return shortest(threads, 4,
                    [&](int t) { all(memory.get() + t * share, t == threads - 1 ? bytes - t * share : share); });
  };
  const double reading = std::min(read(readAll<false>), read(readAll<true>)); // which is faster is the processor's
  const bool wide = __builtin_cpu_supports("avx512vnni");
  const double multiplying = shortest(threads, 3, [&](int) { wide ? products512() : products256(); });
  const double products = 4.0 * (wide ? 16 : 8) * kChains * kTurns * threads;
  std::printf("{\"read_bytes_per_second\": %.4g, \"products_per_second\": %.4g, \"register_bits\": %d}\n",
              bytes / reading, products / multiplying, wide ? 512 : 256);
}
