// What the passes that join operations say of those that they leave apart: MLIR's remarks of missed optimisations, in
// the category "fusion". The driver listens for --explain; stepdown-opt prints them with -remarks-filter-missed=fusion.
#pragma once
#include "mlir/IR/Operation.h"
#include "llvm/ADT/StringMap.h"
#include <mutex>

namespace stepdown {

/// Says that `use`, which takes a result of `producer`, is computed apart from it. `why` ends a sentence.
void remarkApart(mlir::Operation *producer, mlir::OpOperand &use, const llvm::Twine &why);

/// The remarks of a context, which it outlives. Operations are known by name, place and function.
class FusionRemarks {
public:
  /// Takes the place of whoever listened before.
  void listenTo(mlir::MLIRContext &context);
  /// The module is IR that was printed behind fusion, of which nothing was heard.
  void missFusion() { missed = true; }
  /// What was said of the two first: passes go from the most particular to the most general.
  llvm::StringRef whyApart(mlir::Operation *producer, mlir::OpOperand &use) const;

private:
  class Listener;
  std::mutex mutex; ///< functions are lowered on several threads
  llvm::StringMap<std::string> said;
  bool missed = false;
};

} // namespace stepdown
