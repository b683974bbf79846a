// One line for each dialect and each stage.
#include "tools/stepdown-opt/Registration.h"
#include "dialects/Transformer/IR/KernelBufferization.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "passes/Buffer/Passes.h"
#include "passes/CPU/Passes.h"
#include "passes/Linalg/Passes.h"
#include "passes/Tiling/Passes.h"
#include "passes/Vector/Passes.h"

void stepdown::registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<transformer::TransformerDialect>();
  transformer::registerKernelBufferization(registry);
}

// Each stage's Passes.h declares its registration; one call for each stage, in the order of the pipeline.
void stepdown::registerPasses() {
  registerLinalgPasses();
  registerTilingPasses();
  registerBufferPasses();
  registerVectorPasses();
  registerCPUPasses();
}
