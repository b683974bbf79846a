// The functions of a plain module as the FUNCTIONS section of an artifact lists them.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Artifact/ObjectLinker.h"
#include "lib/Target/Level.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace stepdown {

struct LevelCode {
  const Level *level;
  NativeCode code;
};

struct FunctionSignature {
  std::string name;
  std::vector<stepdown_value> arguments, results;
};

/// The callable functions of `module`, in order, as the frontend leaves them: of ranked tensors alone.
std::vector<FunctionSignature> callableFunctions(mlir::ModuleOp module);

/// The bytes of a FUNCTIONS section; every level has code of every function.
std::vector<uint8_t> layOutFunctions(const std::vector<FunctionSignature> &functions,
                                     const std::vector<LevelCode> &code);

} // namespace stepdown
