// Where selected kernels stand: in the module of the functions that launch them, each once.
#pragma once
#include "lib/Kernels/KernelText.h"
#include "passes/Kernel/Epilogue.h"
#include "passes/Kernel/KernelTable.h"

namespace stepdown {

class KernelPlace {
public:
  explicit KernelPlace(mlir::ModuleOp module) : module(module) {}

  /// The symbol of a kernel with these parameters, whose text is added where no pass has added it before; an error at
  /// `loc` where they do not make one.
  mlir::FailureOr<std::string> product(const SelectedKernel &kernel, const Epilogue &epilogue, mlir::Location loc);
  mlir::FailureOr<std::string> scaledProduct(const SelectedKernel &kernel, mlir::Location loc);
  mlir::FailureOr<std::string> attention(const AttentionParameters &parameters, mlir::Location loc);

  /// Notes in the module that no kernel takes `op`, and why: tile::kUnselectedAttr.
  void leave(mlir::Operation *op, const llvm::Twine &reason);

private:
  mlir::FailureOr<std::string> add(llvm::StringRef name, Result<mlir::OwningOpRef<mlir::ModuleOp>> text,
                                   mlir::Location loc);
  mlir::ModuleOp module;
};

} // namespace stepdown
