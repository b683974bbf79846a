// Blocks in the LLVM dialect: arrays of bytes.
#pragma once
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"

namespace stepdown {
/// Teaches `converter` the block and activation types.
void addBlockTypes(mlir::LLVMTypeConverter &converter);
} // namespace stepdown
