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
  std::unique_ptr<Device> (*make)();
};
/// The first is taken where none is named.
constexpr Kind kinds[] = {
    {"cpu", makeCpuDevice},
#ifdef STEPDOWN_EMULATOR
    {"emulated:sm_90a", [] { return makeEmulatedDevice("emulated:sm_90a"); }},
    {"emulated:gfx942", [] { return makeEmulatedDevice("emulated:gfx942"); }},
#endif
};
/// Those that other builds have.
constexpr const char *kElsewhere[] = {
#ifndef STEPDOWN_EMULATOR
    "emulated:sm_90a",
    "emulated:gfx942",
#endif
    nullptr,
};

} // namespace

std::vector<std::string> deviceNames() {
  std::vector<std::string> names;
  for (const Kind &kind : kinds)
    names.push_back(kind.name);
  return names;
}

bool runsHere(const char *target, uint32_t level) {
  for (const Kind &kind : kinds)
    if (std::unique_ptr<Device> device = kind.make(); device->runs(target) && device->accepts(level))
      return true;
  return false;
}

Result<std::shared_ptr<Device>> openDevice(const char *name) {
  for (const Kind &kind : kinds)
    if (!name || !std::strcmp(kind.name, name))
      return std::shared_ptr<Device>(kind.make());
  if (!std::strcmp(name, nvidia::kDevice))
    if (Status driver = nvidia::findDriver(); !driver)
      return driver.error();
  std::string all;
  for (const std::string &known : deviceNames())
    all += (all.empty() ? "" : ", ") + known;
  for (const char *const *known = kElsewhere; *known; ++known)
    if (!std::strcmp(*known, name))
      return fail(ErrorCode::DeviceUnavailable,
                  "device: expects %s, since %s executes code of x86-64 and this machine does not", all.c_str(), name);
  return fail(ErrorCode::DeviceUnavailable, "device: expects one of %s, but got \"%s\"", all.c_str(), name);
}

} // namespace stepdown
