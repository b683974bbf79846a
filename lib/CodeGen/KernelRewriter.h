// One kernel of a chip as a function of the host that calls the emulator for everything the host does not have.
#pragma once
#include "lib/Base/Result.h"
#include "lib/CodeGen/EmulationTable.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/Module.h"
#include <optional>

namespace stepdown {

/// Gives `kernel`'s name and body to a new function `void(entries, parameters)`, enters its operations into `table` as
/// those of kernel `number`, and leaves `kernel` without a body. `layout` is the chip's; `sharedVariables` lie at these
/// offsets of a block's shared memory. E1001 or E1002 with the kernel and the line.
std::optional<Error> rewriteKernel(llvm::Function &kernel, EmulationTable &table, uint32_t number,
                                   const llvm::DataLayout &layout,
                                   llvm::ArrayRef<std::pair<llvm::GlobalVariable *, uint64_t>> sharedVariables);

} // namespace stepdown
