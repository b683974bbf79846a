// NVIDIA's driver, which is opened when a call asks for it and not linked: the runtime starts without one.
#pragma once
#include "lib/Base/Result.h"

namespace stepdown::nvidia {

/// The device's name, as --device spells it.
inline constexpr const char *kDevice = "nvidia";

/// Opens the driver's library and asks it whether it finds a GPU; E0922 with what the system or the driver says.
Status findDriver();

} // namespace stepdown::nvidia
