// checkpoint -> transformer module. The module holds one function for each kind of layer and @step, which embeds the
// tokens, applies the layers in order and computes the logits of the rows asked for. It names weights; it holds none.
#pragma once
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace stepdown {

/// Room for adapters beside the weights.
struct AdapterSlots {
  int64_t slots = 0; ///< with the one of no adapter
  int64_t rank = 0;  ///< the largest
};

struct FrontendOptions {
  uint64_t context = 0;       ///< positions a sequence may have; 0: as many as the checkpoint declares
  std::string kvType = "f16"; ///< what keys and values are kept in: f16, f32, q8_0 or fp8_e4m3
  AdapterSlots adapters = {}; ///< beside the linears of the layers; none where there are 0 slots
};

/// Builds func.func @step(%tokens: tensor<?xi32>, %rows: tensor<?xi32>, %batch: !transformer.batch) -> tensor<?xVxf32>
/// and the layer kinds it applies. Layers whose attributes and storage types are equal share one kind.
/// Errors: those of readParameters and checkTensors (E0201 to E0221), E0230, E0232.
Result<mlir::OwningOpRef<mlir::ModuleOp>> buildModule(mlir::MLIRContext &context, const Checkpoint &checkpoint,
                                                      const FrontendOptions &options = {});

} // namespace stepdown
