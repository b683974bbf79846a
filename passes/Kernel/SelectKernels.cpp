// A linalg.matmul that the table has a kernel for becomes its launch; others stay, for the stages behind. The kernels
// stand beside the functions, each once.
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"
#include "passes/Kernel/KernelTable.h"
#include "passes/Kernel/Passes.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace stepdown {
#define GEN_PASS_DEF_SELECTKERNELS
#include "passes/Kernel/Passes.h.inc"

namespace {
struct SelectKernels : impl::SelectKernelsBase<SelectKernels> {
  using SelectKernelsBase::SelectKernelsBase;

  /// Whether `init` holds nothing but zeros: the kernel's sums begin with zero.
  static bool isZero(Value init) {
    auto fill = init.getDefiningOp<linalg::FillOp>();
    return fill && (matchPattern(fill.value(), m_PosZeroFloat()) || matchPattern(fill.value(), m_NegZeroFloat()));
  }

  /// `matrix` with as many zero columns as its rows need to be a multiple of 16 bytes long; null where its columns are
  /// not known.
  static Value padRows(OpBuilder &b, Location loc, Value matrix) {
    auto type = cast<RankedTensorType>(matrix.getType());
    if (type.isDynamicDim(1))
      return Value();
    const int64_t columns = type.getDimSize(1), each = kRowAlignment * 8 / type.getElementTypeBitWidth();
    const int64_t padded = llvm::alignTo(columns, each);
    if (padded == columns)
      return matrix;
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
    auto wider = RankedTensorType::get({type.getDimSize(0), padded}, type.getElementType());
    return tensor::PadOp::create(b, loc, wider, matrix, SmallVector<OpFoldResult>(2, b.getIndexAttr(0)),
                                 {b.getIndexAttr(0), b.getIndexAttr(padded - columns)}, zero);
  }

  /// The symbol of the table's kernel in `module`, which gets its text where it does not have it.
  LogicalResult place(ModuleOp module, const SelectedKernel &kernel, Location loc) {
    if (SymbolTable::lookupSymbolIn(module, kernel.name))
      return success();
    auto text = matmulKernel(getContext(), kernel.parameters);
    if (!text)
      return emitError(loc) << text.error().message;
    auto made = *(*text)->getOps<tile::KernelOp>().begin();
    made->remove(); // from its own module
    made.setSymName(kernel.name);
    module.getBody()->push_back(made);
    return success();
  }

  LogicalResult select(ModuleOp module, linalg::MatmulOp product) {
    if (!product.hasPureTensorSemantics() || product.hasUserDefinedMaps())
      return success();
    Value a = product.getDpsInputs()[0], w = product.getDpsInputs()[1], init = product.getDpsInits()[0];
    const auto left = cast<RankedTensorType>(a.getType()), right = cast<RankedTensorType>(w.getType());
    const auto result = cast<RankedTensorType>(init.getType());
    if (left.getElementType() != right.getElementType() || !isZero(init) || left.getDimSize(1) == 0)
      return success();
    const std::optional<SelectedKernel> kernel =
        selectMatmul(chip, left.getElementType(), result.getElementType(), result.getDimSize(0), result.getDimSize(1));
    if (!kernel || left.isDynamicDim(1) || right.isDynamicDim(1))
      return success();
    if (failed(place(module, *kernel, product.getLoc())))
      return failure();
    OpBuilder b(product);
    Value padded = padRows(b, product.getLoc(), a), wide = padRows(b, product.getLoc(), w);
    auto fill = init.getDefiningOp<linalg::FillOp>();
    // The kernel writes each element, so what the zeros were to be filled into is enough.
    auto launch = tile::LaunchOp::create(b, product.getLoc(), TypeRange(result), ValueRange{padded, wide},
                                         fill.getDpsInits()[0], kernel->name);
    product.getResult(0).replaceAllUsesWith(launch.getResult(0));
    product.erase();
    if (fill->use_empty())
      fill.erase();
    ++selected;
    return success();
  }

  void runOnOperation() override {
    SmallVector<linalg::MatmulOp> products;
    getOperation().walk([&](linalg::MatmulOp product) { products.push_back(product); });
    for (linalg::MatmulOp product : products)
      if (failed(select(getOperation(), product)))
        return signalPassFailure();
  }
};
} // namespace
} // namespace stepdown
