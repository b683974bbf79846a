// A GPU's driver as a table of functions, opened when a device asks for it and not linked: the runtime starts without
// one. CUDA's driver API and HIP are one table, since HIP follows CUDA function for function.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>

namespace stepdown::driver {

/// Which driver, and how its devices are called.
struct Vendor {
  const char *name;             ///< "NVIDIA"
  const char *prefix;           ///< of device and target names: "nvidia:"
  const char *const *libraries; ///< to be opened, the first that there is; null behind the last
  int oldest;                   ///< version that it must have
  const char *oldestText;       ///< the same in words
};
extern const Vendor kNvidia, kAmd;

struct Driver {
  const Vendor *vendor = nullptr;
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) int(*FIELD) PARAMETERS = nullptr;
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS) int(*FIELD) PARAMETERS = nullptr;
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS) int(*FIELD) PARAMETERS = nullptr;
#include "runtime/driver/DriverFunctions.def"
  const char *(*hipErrorText)(int error) = nullptr; ///< hipGetErrorString
  int versionNumber = 0;

  /// "error 2 (out of memory)".
  std::string text(int error) const;
};

/// The driver of `vendor`, opened and initialised once a process. E0922 where there is none or it finds no GPU, E1010
/// where it is older than what we need; each in a line, with `device` for whose sake.
Result<const Driver *> openDriver(const Vendor &vendor, const char *device);

/// A GPU that a driver found.
struct Gpu {
  int number;
  std::string name, chip; ///< "NVIDIA H200", "sm_90"; "AMD Instinct MI300X", "gfx942"
};

/// The first GPU that runs code for `chip`: of NVIDIA one of that compute capability, or, where `chip` does not end in
/// "a", of a later one; of AMD the same chip. E1011 with what there is.
Result<Gpu> findGpu(const Driver &driver, const char *device, const std::string &chip);

} // namespace stepdown::driver
