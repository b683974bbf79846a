// The functions of a plain module as the FUNCTIONS section of an artifact lists them.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Artifact/KernelSignature.h"
#include "lib/CodeGen/KernelImages.h"
#include "lib/Target/Target.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include <string>
#include <vector>

namespace stepdown {

struct TargetCode {
  const Target *target;
  NativeCode code;
  std::vector<LaunchedKernel> kernels; ///< that the code's functions launch, in the order of their numbers
};

struct FunctionSignature {
  std::string name;
  std::vector<stepdown_value> arguments, results;
};

/// A function of ranked tensors, batches and caches as callers see it.
FunctionSignature signatureOf(llvm::StringRef name, mlir::FunctionType type);

/// What the code of each of `functions` is called with.
std::vector<CodeEntry> entriesOf(const std::vector<FunctionSignature> &functions);

/// How the device finds them.
std::vector<CodeEntry> entriesOf(const std::vector<LaunchedKernel> &kernels);

/// The bytes of a FUNCTIONS section; `numbers` are the entries of each function in the code of each target.
std::vector<uint8_t> layOutFunctions(const std::vector<FunctionSignature> &functions,
                                     const std::vector<uint32_t> &numbers);

} // namespace stepdown
