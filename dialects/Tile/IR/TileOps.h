// The operations of the tile dialect.
#pragma once
#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace stepdown::tile {
/// On memrefs a structured operation reads its operands and writes its outputs (which it also reads: it may keep some
/// of what they hold).
void structuredEffects(mlir::DestinationStyleOpInterface op,
                       llvm::SmallVectorImpl<mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>> &effects);
} // namespace stepdown::tile

#define GET_OP_CLASSES
#include "dialects/Tile/IR/TileOps.h.inc"
