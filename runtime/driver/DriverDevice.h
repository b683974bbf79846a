// A GPU behind its driver, as a Device: "nvidia:sm_90a" by the CUDA driver API, "amd:gfx942" by HIP. Emulated tests run
// all of it but what the driver does; it never ran on hardware.
//
// Memory has no `host`. Kernels are those of images: PTX, which the driver assembles when an artifact is loaded, or
// code objects. A launch's operands are taken from Launch::values and go to the GPU as its parameters. A queue is a
// stream of its own; copies from and to memory of the host are as asynchronous as the driver makes them.
#pragma once
#include "runtime/Device.h"
#include "runtime/driver/Driver.h"
#include <memory>

namespace stepdown {

/// The device `name` ("nvidia:sm_90a"), which stays the caller's and runs code of the target of that name. E0922 where
/// there is no driver or no GPU, E1010 where the driver is too old, E1011 where no GPU runs code for the chip, E1015.
Result<std::shared_ptr<Device>> openDriverDevice(const driver::Vendor &vendor, const char *name);

} // namespace stepdown
