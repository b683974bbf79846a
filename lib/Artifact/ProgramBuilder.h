// The step program of an artifact, from the program functions that the packing phase leaves: dispatches in order, where
// their operands lie, and the plan of the arena.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "include/stepdown/Artifact.h"
#include "lib/Artifact/KernelSignature.h"
#include "lib/Artifact/WeightPacker.h"
#include "lib/Base/Result.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <map>
#include <string>
#include <vector>

namespace stepdown {

using ProgramWeight = WeightEntry;

/// The tables of the program section, before they are laid out.
struct BuiltProgram {
  stepdown_program header{};
  uint64_t alignment = 0; ///< of weights and buffers, in bytes
  std::vector<stepdown_bucket> buckets;
  std::vector<stepdown_buffer> buffers;
  stepdown_cache cache{};
  std::vector<stepdown_cache_group> groups;
  std::vector<stepdown_layer> layers;
  std::vector<stepdown_run> kinds;
  std::vector<ProgramWeight> weights;
  std::vector<uint32_t> weightLists;
  std::vector<std::string> kernels; ///< names; one that operands of several shapes use stands here once for each
  std::vector<CodeEntry> variants;  ///< [kernels, buckets]
  std::vector<stepdown_dispatch> dispatches;
  std::vector<stepdown_operand> operands;
  std::vector<std::string> bufferNames; ///< of buffers
};

/// Reads the program of `module` (after the packing phase for `target`) for steps of at most `maxTokens` tokens. E0810
/// where the program is not one that an artifact can hold.
Result<BuiltProgram> buildProgram(mlir::ModuleOp module, const Target &target, int64_t maxTokens, bool exact);

} // namespace stepdown
