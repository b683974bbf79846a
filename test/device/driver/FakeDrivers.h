// The drivers of FakeDriver.cpp in a test's own process: opened by path first, they are what a later dlopen by name
// finds.
#pragma once
#include "test/device/driver/FakeDriver.h"
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <string>

namespace stepdown::test {

/// The control of "libcuda.so.1" or "libamdhip64.so.7".
inline FakeDriverControl &fakeDriver(const char *library) {
  void *opened = dlopen((std::string(STEPDOWN_FAKE_DRIVERS "/") + library).c_str(), RTLD_NOW | RTLD_LOCAL);
  auto *entry = opened ? reinterpret_cast<FakeDriverEntry *>(dlsym(opened, FAKE_DRIVER_ENTRY)) : nullptr;
  if (!entry) {
    ADD_FAILURE() << dlerror();
    abort();
  }
  return *entry();
}

} // namespace stepdown::test
