// Products with quantised weights as dispatches of a tile kernel: what a kernel's body needs beside them, and the
// kernels.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Target/Target.h"
#include <map>

namespace stepdown {

struct QuantisedMatmulParameters;

class TileProducts {
public:
  /// Kernels are added to the module `kernels`. `exact`: products in float32, of which there are none here.
  TileProducts(const Target &target, mlir::ModuleOp kernels, bool exact)
      : target(target), kernels(kernels), exact(exact) {}

  /// Whether the target has a tile kernel for `product`.
  bool takes(transformer::LinearOp product) const;

  /// Writes in front of each product of `kernel` that takes() takes what its operand becomes: of each row the power of
  /// two that its largest number is scaled back by, [tokens], and the scaled row in binary16, [tokens, columns].
  void prepare(transformer::KernelOp kernel);
  bool isRows(mlir::Value value) const; ///< whether `value` is such rows

  /// The dispatch of `product` at `builder`; `place` is where a value of the kernel's body lies. Fails with a
  /// diagnostic where the kernel's text does not verify.
  mlir::FailureOr<mlir::Value> dispatch(mlir::OpBuilder &builder, transformer::LinearOp product,
                                        llvm::function_ref<mlir::Value(mlir::Value)> place, bool byRows);

private:
  mlir::FailureOr<std::string> kernelFor(const BlockFormat &format, mlir::Location loc);
  mlir::LogicalResult makeKernel(const BlockFormat &format, QuantisedMatmulParameters parameters,
                                 const std::string &name, mlir::Location loc);
  bool onAMD() const { return llvm::StringRef(target.road) == "amd"; }
  struct Operand {
    mlir::Value scales, rows;
  };
  const Target &target;
  mlir::ModuleOp kernels;
  const bool exact;
  llvm::DenseMap<mlir::Value, Operand> operands; ///< of products: what became of x
  std::map<std::string, std::string> known;      ///< storage type -> kernel
};

} // namespace stepdown
