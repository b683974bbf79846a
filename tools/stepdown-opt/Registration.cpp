// One line for each dialect and each stage.
#include "tools/stepdown-opt/Registration.h"
#include "lib/Pipeline/Phases.h"
#include "mlir/IR/DialectRegistry.h"

void stepdown::registerDialects(mlir::DialectRegistry &registry) { registerCompilerDialects(registry); }

void stepdown::registerPasses() { registerPhases(); }
