// A device as far from the host as a machine without a GPU can have one: nobody reads its memory but its own work, and
// that work is done late, when somebody waits for it. Kernels are the processor's.
#pragma once
#include "runtime/Device.h"
#include <memory>

namespace stepdown::test {

/// Memory has no `host`, and reading its addresses from the host is a fault; uploads, copies, launches and downloads
/// are noted down, and done at Queue::wait or sync.
std::shared_ptr<Device> makeLateDevice();

} // namespace stepdown::test
