// What a tile kernel computes, with all synchronisation erased: the reference that lowered kernels are compared with,
// and that is itself compared with a closed form.
#pragma once
#include "dialects/Tile/IR/TileOps.h"
#include "lib/Base/Result.h"
#include <variant>
#include <vector>

namespace stepdown {

/// A matrix in global memory; every element type is float64 here, and one of blocks is that of the weights in them.
struct InterpretedMatrix {
  double *elements; ///< [rows, stride], of which columns count
  int64_t rows, columns, stride;
};

/// Executes `kernel` as one block: each role is a sequential program from its begin to its end, roles in the order of
/// the text, and a channel is a queue without bounds. Numbers are float64 and nothing is rounded. Errors: E0562 for a
/// role that waits for a slot that none before it has filled (or fills one that a later role does not take), for an
/// operation without a plain meaning, and for arguments that are not the kernel's.
Status interpretKernel(tile::KernelOp kernel, const std::vector<std::variant<int64_t, InterpretedMatrix>> &arguments);

} // namespace stepdown
