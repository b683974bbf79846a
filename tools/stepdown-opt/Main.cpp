// stepdown-opt: MLIR's usual opt driver with our dialects, passes and phase pipelines.
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "tools/stepdown-opt/Registration.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  stepdown::registerDialects(registry);
  stepdown::registerPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Stepdown's optimizer driver\n", registry));
}
