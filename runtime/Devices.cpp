#include "runtime/Devices.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/driver/DriverDevice.h"
#ifdef STEPDOWN_EMULATOR
#include "runtime/emulated/EmulatedDevice.h"
#endif
#include <cstring>

namespace stepdown {
namespace {

using Opened = Result<std::shared_ptr<Device>>;
struct Kind {
  const char *name;
  Opened (*open)(const char *name); ///< null: only other builds have it
};
#ifdef STEPDOWN_EMULATOR
Opened openEmulated(const char *name) { return std::shared_ptr<Device>(makeEmulatedDevice(name)); }
#else
constexpr Opened (*openEmulated)(const char *) = nullptr;
#endif
Opened openDriver(const char *name) {
  return openDriverDevice(std::strncmp(name, "amd:", 4) ? driver::kNvidia : driver::kAmd, name);
}
/// The first is taken where none is named.
constexpr Kind kinds[] = {
    {"cpu", [](const char *) -> Opened { return std::shared_ptr<Device>(makeCpuDevice()); }},
#define STEPDOWN_CHIP(name, road, ...) {"emulated:" name, openEmulated},
#include "lib/Base/Chips.def"
#undef STEPDOWN_CHIP
#define STEPDOWN_CHIP(name, road, ...) {road ":" name, openDriver},
#include "lib/Base/Chips.def"
#undef STEPDOWN_CHIP
};

} // namespace

std::vector<std::string> deviceNames() {
  std::vector<std::string> names;
  for (const Kind &kind : kinds)
    if (kind.open)
      names.push_back(kind.name);
  return names;
}

bool runsHere(const char *target, uint32_t level) {
  for (const Kind &kind : kinds)
    if (kind.open && !std::strcmp(kind.name, target)) {
      const Opened device = kind.open(kind.name);
      return device && (*device)->runs(target) && (*device)->accepts(level);
    }
  return false;
}

Result<std::shared_ptr<Device>> openDevice(const char *name) {
  const Kind *found = name ? nullptr : kinds;
  for (const Kind &kind : kinds)
    if (name && !std::strcmp(kind.name, name))
      found = &kind;
  if (found && found->open)
    return found->open(found->name);
  std::string all;
  for (const std::string &known : deviceNames())
    all += (all.empty() ? "" : ", ") + known;
  if (found)
    return fail(ErrorCode::DeviceUnavailable,
                "device: expects %s, since %s executes code of x86-64 and this machine does not", all.c_str(), name);
  return fail(ErrorCode::DeviceUnavailable, "device: expects one of %s, but got \"%s\"", all.c_str(), name);
}

} // namespace stepdown
