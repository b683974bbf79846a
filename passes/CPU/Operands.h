// How a function of the artifact reads its operands (include/stepdown/Artifact.h): one array of 64-bit numbers, for
// each operand its address and then its dimensions.
#pragma once
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace stepdown {

/// Number `slot` of the array `operands`, as `type`: i64 or a pointer.
mlir::Value loadOperand(mlir::OpBuilder &b, mlir::Location loc, mlir::Type type, mlir::Value operands, int64_t slot);

/// Where number `slot` lies.
mlir::Value operandPlace(mlir::OpBuilder &b, mlir::Location loc, mlir::Value operands, int64_t slot);

/// A contiguous memref of type `type` at operands[slot], with its dimensions behind it.
mlir::Value bindOperand(mlir::OpBuilder &b, mlir::Location loc, mlir::LLVMTypeConverter &converter,
                        mlir::MemRefType type, mlir::Value operands, int64_t slot);

/// A contiguous memref of type `type` and `sizes` (i64, one a dimension) at the address `base`.
mlir::Value bindMemory(mlir::OpBuilder &b, mlir::Location loc, mlir::LLVMTypeConverter &converter,
                       mlir::MemRefType type, mlir::Value base, mlir::ValueRange sizes);

} // namespace stepdown
