// The machines that kernels can run on, by name: the one place that knows which kinds of Device there are.
#pragma once
#include "runtime/Device.h"
#include <memory>
#include <string>
#include <vector>

namespace stepdown {

/// The names that openDevice takes.
std::vector<std::string> deviceNames();
/// Whether one of them runs code of `target` at `level` on this machine.
bool runsHere(const char *target, uint32_t level);
/// A new device called `name` ("cpu" for null); E0911 with the list for another name, and for a GPU what
/// openDriverDevice says.
Result<std::shared_ptr<Device>> openDevice(const char *name);

} // namespace stepdown
