// The processor as a Device: memory is the process's own, a kernel is a function, a queue is a pool of threads.
#pragma once
#include "runtime/Device.h"
#include <memory>

namespace stepdown {

std::unique_ptr<Device> makeCpuDevice();

} // namespace stepdown
