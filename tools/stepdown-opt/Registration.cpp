// One line for each dialect and each stage.
#include "tools/stepdown-opt/Registration.h"
#include "dialects/Transformer/IR/TransformerDialect.h"

void stepdown::registerDialects(mlir::DialectRegistry &registry) { registry.insert<transformer::TransformerDialect>(); }

// Each stage's Passes.h declares its registration; one call for each stage, in the order of the pipeline.
void stepdown::registerPasses() {}
