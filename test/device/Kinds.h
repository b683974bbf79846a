// The devices that a device test runs on: TEST_P(Name, ...) with INSTANTIATE_ON_DEVICES(Name).
#pragma once
#include "runtime/Devices.h"
#include "test/device/LateDevice.h"
#include <gtest/gtest.h>
#include <ostream>

namespace stepdown::test {

struct DeviceKind {
  const char *name;
  std::shared_ptr<Device> (*make)();
};
inline void PrintTo(const DeviceKind &kind, std::ostream *out) { *out << kind.name; }
inline std::shared_ptr<Device> makeNamedCpu() { return *openDevice("cpu"); }
inline constexpr DeviceKind kDeviceKinds[] = {{"cpu", makeNamedCpu}, {"late", makeLateDevice}};
inline std::shared_ptr<Device> makeNamedEmulated() { return *openDevice("emulated:sm_90a"); }
/// Also those that run no code of "cpu".
inline constexpr DeviceKind kMemoryKinds[] = {
    {"cpu", makeNamedCpu}, {"late", makeLateDevice}, {"emulated", makeNamedEmulated}};

} // namespace stepdown::test

#define INSTANTIATE_ON_DEVICES(Suite)                                                                                  \
  INSTANTIATE_TEST_SUITE_P(Devices, Suite, testing::ValuesIn(stepdown::test::kDeviceKinds),                            \
                           [](const auto &info) { return info.param.name; })
