#include "passes/CPU/BlockTypes.h"
#include "dialects/Transformer/IR/TransformerOps.h"

using namespace mlir;
using namespace stepdown::transformer;

void stepdown::addBlockTypes(LLVMTypeConverter &converter) {
  auto bytes = [](Type type, int64_t count) {
    return LLVM::LLVMArrayType::get(IntegerType::get(type.getContext(), 8), count);
  };
  converter.addConversion([bytes](BlockType type) -> Type { return bytes(type, type.getBytes()); });
  converter.addConversion([bytes](ActivationType type) -> Type { return bytes(type, type.getBytes()); });
}
