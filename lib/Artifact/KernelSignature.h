// What the variants of a kernel take for granted of their operands: the index in front of a CODE section.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "include/stepdown/Artifact.h"
#include "lib/Base/Result.h"
#include "lib/CodeGen/ObjectLinker.h"
#include "lib/Target/Target.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <string>
#include <vector>

namespace stepdown {

/// One way into native code, before the code is placed.
struct CodeEntry {
  std::string function; ///< of the linked code
  std::string name;     ///< that its device finds it by; empty: by its place
  stepdown_launch launch{{{1, 1}, {1, 1}, {1, 1}}, {1, 1, 1}, {1, 1, 1}, 0};
  stepdown_entry record{};                    ///< but for offset, first, launch and name
  std::vector<stepdown_parameter> parameters; ///< of a kernel
  std::vector<stepdown_value> values;         ///< of a function
};

/// The variants of `dispatch`, one for each bucket, whose operands are at `operands`; a bucket without a function of
/// its own runs that of the one before. From the kernel's functions in `kernels` as the packing phase leaves them.
/// E0810 where they do not fit the dispatch.
Result<std::vector<CodeEntry>> variantsOf(transformer::DispatchOp dispatch,
                                          const std::vector<stepdown_operand> &operands, mlir::ModuleOp kernels,
                                          llvm::ArrayRef<Bucket> buckets);

/// The bytes of a CODE section: index, then `code` from the next page on, so that it keeps its place within pages.
/// `alignment` is that of the target. The number of each of `entries` in the index is added to `numbers`; equal ones
/// share theirs.
std::vector<uint8_t> layOutCode(const NativeCode &code, const std::vector<CodeEntry> &entries, uint64_t alignment,
                                std::vector<uint32_t> &numbers);

} // namespace stepdown
