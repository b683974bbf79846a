// Products with quantised weights as dispatches of a tile kernel: what a kernel's body needs beside them, and the
// kernels.
#pragma once
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Target/Target.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/DenseSet.h"
#include <map>

namespace stepdown {

struct QuantisedMatmulParameters;

class TileProducts {
public:
  /// Kernels are added to the module `kernels`. `exact`: products in float32, of which there are none here.
  TileProducts(const Target &target, mlir::ModuleOp kernels, bool exact)
      : target(target), kernels(kernels), exact(exact) {}

  /// What a product's operand becomes: of each row the power of two that its largest number is scaled back by,
  /// [tokens], and the scaled row in binary16, [tokens, columns].
  struct Operand {
    mlir::Value scales, rows;
    bool placed = false; ///< they are values of the program, not of a kernel's body
  };

  /// Whether the target has a tile kernel for `product`.
  bool takes(transformer::LinearOp product) const;
  /// Whether threads on matrix units compute `product` of such an operand (MatrixExperts.cpp).
  bool takes(transformer::ExpertLinearOp product) const;
  const Operand &operandOf(transformer::ExpertLinearOp product) const { return operands.at(product.getResult()); }

  /// Writes in front of each product of `kernel` that takes() takes what its operand becomes, but where the kernel that
  /// made the operand has left that too; and behind all else what becomes of what it yields to products of others.
  void prepare(transformer::KernelOp kernel);
  bool isRows(mlir::Value value) const { return rowsMade.contains(value); } ///< whether `value` is such rows
  /// What the kernel that was prepared makes of its output `number`, if any, and whether nobody reads that otherwise.
  std::optional<Operand> output(unsigned number) const;
  bool isAlone(unsigned number) const { return outputs.lookup(number).alone; }
  /// `value` of the program has become `operand`, values of the program as well.
  void leave(mlir::Value value, Operand operand) { left[value] = operand; }

  /// Products that one launch computes, at most.
  static constexpr size_t kTogether = 3;
  /// Whether one launch computes both: products of one operand, with weights of one storage type.
  bool together(transformer::LinearOp a, transformer::LinearOp b) const;

  /// The dispatch of `products`, which go together, at `builder`; `place` is where a value of the kernel's body lies.
  /// Its results are theirs; a product alone may have an `addend`, a value of the program that its result is added to.
  /// Fails with a diagnostic where the kernel's text does not verify.
  mlir::FailureOr<transformer::DispatchOp> dispatch(mlir::OpBuilder &builder,
                                                    mlir::ArrayRef<transformer::LinearOp> products,
                                                    llvm::function_ref<mlir::Value(mlir::Value)> place, bool byRows,
                                                    mlir::Value addend = {});

private:
  bool isTaken(mlir::Type weight) const;
  mlir::Value taken(mlir::Operation *product) const;
  mlir::FailureOr<std::string> kernelFor(const BlockFormat &format, bool hasAddend, mlir::Location loc);
  mlir::LogicalResult makeKernel(const QuantisedMatmulParameters &parameters, const std::string &name,
                                 mlir::Location loc);
  /// Whether blocks of weights are copied by tensor maps, by a role of its own; else all warps copy.
  bool byTensorMaps() const { return llvm::StringRef(target.chip) == "sm_90a"; }
  Operand quantise(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
  const Target &target;
  mlir::ModuleOp kernels;
  const bool exact;
  struct Output {
    Operand operand;
    bool alone = false;
  };
  llvm::DenseMap<mlir::Value, Operand> operands; ///< of products: what became of x
  llvm::DenseMap<unsigned, Output> outputs;      ///< of the kernel that was prepared
  llvm::DenseMap<mlir::Value, Operand> left;     ///< of values of the program
  llvm::DenseSet<mlir::Value> rowsMade;
  std::map<std::string, std::string> known; ///< storage type, and whether with an addend -> kernel
};

} // namespace stepdown
