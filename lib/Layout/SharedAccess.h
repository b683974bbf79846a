// What an access to shared memory (LDS) costs: bank conflicts, computed from where the lanes' bytes lie.
#pragma once
#include "lib/Layout/LinearLayout.h"

namespace stepdown {

/// Banks of 4 bytes, a row of which is served at once. Lanes of wide accesses are served in groups of 128 bytes,
/// consecutive lanes together: so NVIDIA documents it. AMD does not document its order for 8 and 16 bytes a lane; there
/// the same is assumed.
struct SharedMemory {
  int banks = 32;
  int bankBytes = 4;
};

/// The cost of one access of every warp.
struct SharedAccess {
  int64_t instructions = 0; ///< of all warps
  int64_t wavefronts = 0;   ///< rows of banks that are served
  int64_t least = 0;        ///< wavefronts without any conflict
  int64_t ways = 1;         ///< the worst wavefronts of a group of lanes: 1 is no conflict
};

/// The access by instructions of `accessBytes` a lane (4, 8 or 16; 1 or 2 count like 4) of everything in `layout`:
/// register, lane and others -> offset in bytes, an element being `elementBytes`. None where registers that one
/// instruction takes together do not lie together, or not aligned.
std::optional<SharedAccess> sharedAccess(const LinearLayout &layout, int elementBytes, int accessBytes,
                                         const SharedMemory &memory = {});

/// The widest access that `layout` allows, in bytes: up to 16.
int widestAccess(const LinearLayout &layout, int elementBytes);

} // namespace stepdown
