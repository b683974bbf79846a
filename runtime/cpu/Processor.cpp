#include "runtime/cpu/Processor.h"

#include <cstring>
#include <sched.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace stepdown {
namespace {

/// What targets need, as lib/Base/Targets.def names it.
enum Feature : uint32_t { HasV3 = 1, HasAvx512 = 2, HasVnni = 4, HasDotprod = 8, HasAvxVnni = 16, HasBf16 = 32 };

struct Target {
  uint32_t number;
  const char *name;
  uint32_t needs;
};
constexpr Target targets[] = {
#define STEPDOWN_TARGET(id, name, needs, ...) {STEPDOWN_LEVEL_##id, name, needs},
#include "lib/Base/Targets.def"
#undef STEPDOWN_TARGET
};

#if defined(__x86_64__)
/// Bits of XCR0: the register state that the system saves on a context switch.
uint64_t savedState() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

uint32_t features() {
  uint32_t a, b, c1, d, b7, c7, d7, cx;
  if (!__get_cpuid(1, &a, &b, &c1, &d))
    return 0;
  constexpr uint32_t needed1 = bit_FMA | bit_MOVBE | bit_OSXSAVE | bit_AVX | bit_F16C | bit_SSE4_2 | bit_POPCNT;
  if ((c1 & needed1) != needed1 || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
    return 0;
  if (!__get_cpuid(0x80000001, &a, &b, &cx, &d))
    return 0;
  constexpr uint64_t avxState = 0x6, avx512State = 0xe6;
  uint64_t saved = savedState();
  constexpr uint32_t needed7 = bit_AVX2 | bit_BMI | bit_BMI2;
  constexpr uint32_t lzcnt = 1u << 5;
  uint32_t has = 0;
  if ((b7 & needed7) == needed7 && (cx & lzcnt) && (saved & avxState) == avxState)
    has |= HasV3;
  constexpr uint32_t needed512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD;
  if ((b7 & needed512) == needed512 && (saved & avx512State) == avx512State)
    has |= HasAvx512;
  if (c7 & bit_AVX512VNNI)
    has |= HasVnni;
  constexpr uint32_t avxVnni = 1u << 4, avx512Bf16 = 1u << 5; // of EAX of leaf 7, sub-leaf 1
  if (__get_cpuid_count(7, 1, &a, &b, &cx, &d)) {
    has |= a & avxVnni ? HasAvxVnni : 0;
    has |= a & avx512Bf16 ? HasBf16 : 0;
  }
  return has;
}
#elif defined(__aarch64__)
/// What Linux says of the processor; registers of NEON are saved wherever it says so.
uint32_t features() {
  constexpr unsigned long simd = 1 << 1, dotProducts = 1 << 20; // HWCAP_ASIMD, HWCAP_ASIMDDP
  const unsigned long has = getauxval(AT_HWCAP);
  return (has & simd) && (has & dotProducts) ? HasDotprod : 0;
}
#else
uint32_t features() { return 0; }
#endif

} // namespace

const char *levelName(uint32_t level) {
  for (const Target &known : targets)
    if (known.number == level)
      return known.name;
  return nullptr;
}

int levelRank(uint32_t level) {
  int rank = 0;
  for (const Target &known : targets) {
    ++rank;
    if (known.number == level)
      return rank;
  }
  return 0;
}

uint32_t levelNamed(const char *name) {
  for (const Target &known : targets)
    if (!std::strcmp(known.name, name))
      return known.number;
  return 0;
}

std::vector<std::string> levelNames() {
  std::vector<std::string> names;
  for (const Target &known : targets)
    names.push_back(known.name);
  return names;
}

bool processorHas(uint32_t level) {
  static const uint32_t here = features();
  for (const Target &known : targets)
    if (known.number == level)
      return (here & known.needs) == known.needs;
  return false;
}

int processorCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

} // namespace stepdown
