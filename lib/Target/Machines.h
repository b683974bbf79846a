// Facts about GPUs that can be bought, for predictions of how long a step takes. Chips, as code is compiled for them,
// are lib/Target/Target.h's; several machines may have one chip.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>

namespace stepdown {

struct Machine {
  const char *name;
  const char *chip;     ///< whose code it runs: "sm_90a"
  double memory;        ///< bytes of it
  double bandwidth;     ///< bytes a second from and to memory
  uint32_t units;       ///< streaming multiprocessors, or compute units
  double clock;         ///< Hz
  double float32;       ///< operations a second on float32, a multiply-add two
  double float16, int8; ///< operations a second of dense matrix products
  double unitBytes;     ///< a clock, from the second-level cache to one unit
  double latency;       ///< clocks from a multiply-add to the next one that needs its result
  double launch;        ///< seconds from the end of a launch to the beginning of the next in its stream
  double replay;        ///< the same of launches that a graph of the driver has
};

/// All machines, those of a vendor oldest first.
llvm::ArrayRef<Machine> machines();

} // namespace stepdown
