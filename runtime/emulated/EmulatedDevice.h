// A chip that the emulator executes, as a Device: memory apart from the host's, kernels of images, queues that run one
// launch after another.
//
// An address is one of the host, but `host` of its memory is null, as it would be on the chip. Copies reach what was
// allocated, reserved or adopted; kernels the same without the readable bytes behind it, so that one which relies on
// them is reported. Work is done in the call that asks for it, by the thread that asks; launches of all queues exclude
// each other. A kernel that breaks a rule ends its launch with E1004 and the emulator's report: kernel, line,
// operation, block, warp (docs/emulator.md).
#pragma once
#include "runtime/Device.h"
#include "runtime/emulated/Emulator.h"
#include <memory>

namespace stepdown {

/// What a test may make of a device.
struct EmulatedMachine {
  size_t memory = 0;         ///< bytes, for allocations, weights and code; 0: as many as the system gives
  uint64_t launches = ~0ull; ///< that it does before it is lost (E1014)
};

/// The device `name`, which runs code of the target of that name: "emulated:sm_90a", "emulated:gfx942"; it stays the
/// caller's. `options` are those of every launch.
std::unique_ptr<Device> makeEmulatedDevice(const char *name, const emulated::Options &options = {},
                                           const EmulatedMachine &machine = {});

} // namespace stepdown
