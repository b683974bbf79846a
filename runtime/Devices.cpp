#include "runtime/Devices.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/nvidia/Driver.h"
#ifdef STEPDOWN_EMULATOR
#include "runtime/emulated/EmulatedDevice.h"
#endif
#include <cstring>

namespace stepdown {
namespace {

struct Kind {
  const char *name;
  std::unique_ptr<Device> (*make)(const char *name);
};
#ifdef STEPDOWN_EMULATOR
std::unique_ptr<Device> makeEmulated(const char *name) { return makeEmulatedDevice(name); }
#else
constexpr std::unique_ptr<Device> (*makeEmulated)(const char *) = nullptr; // other builds have it
#endif
/// The first is taken where none is named.
constexpr Kind kinds[] = {
    {"cpu", [](const char *) { return makeCpuDevice(); }},
#define STEPDOWN_CHIP(name, ...) {"emulated:" name, makeEmulated},
#include "lib/Base/Chips.def"
#undef STEPDOWN_CHIP
};

} // namespace

std::vector<std::string> deviceNames() {
  std::vector<std::string> names;
  for (const Kind &kind : kinds)
    if (kind.make)
      names.push_back(kind.name);
  return names;
}

bool runsHere(const char *target, uint32_t level) {
  for (const Kind &kind : kinds)
    if (std::unique_ptr<Device> device = kind.make ? kind.make(kind.name) : nullptr;
        device && device->runs(target) && device->accepts(level))
      return true;
  return false;
}

Result<std::shared_ptr<Device>> openDevice(const char *name) {
  const Kind *found = name ? nullptr : kinds;
  for (const Kind &kind : kinds)
    if (name && !std::strcmp(kind.name, name))
      found = &kind;
  if (found && found->make)
    return std::shared_ptr<Device>(found->make(found->name));
  if (!std::strcmp(name, nvidia::kDevice))
    if (Status driver = nvidia::findDriver(); !driver)
      return driver.error();
  std::string all;
  for (const std::string &known : deviceNames())
    all += (all.empty() ? "" : ", ") + known;
  if (found)
    return fail(ErrorCode::DeviceUnavailable,
                "device: expects %s, since %s executes code of x86-64 and this machine does not", all.c_str(), name);
  return fail(ErrorCode::DeviceUnavailable, "device: expects one of %s, but got \"%s\"", all.c_str(), name);
}

} // namespace stepdown
