#include "lib/Kernels/ChipLimits.h"

using namespace mlir;
using namespace stepdown::tile;

namespace stepdown {
namespace {
struct Row {
  const char *chip;
  std::initializer_list<const char *> elements; ///< of products, as MLIR prints them
  int64_t cluster = 1;                          ///< blocks of a cluster at most, on every chip of the kind
};

// Of what the chips multiply that which the kernels have a form for. fp8 is OCP's. gfx942 multiplies another (FNUZ),
// whose codes those of e4m3 become on their way; e5m2 has infinities, for which FNUZ has no code.
const Row table[] = {
    {"sm_80", {"bf16", "f16", "i8"}},
    {"sm_90a", {"bf16", "f16", "f8E4M3FN", "f8E5M2", "i8"}, 8},
    {"gfx90a", {"bf16", "f16", "i8"}},
    {"gfx942", {"bf16", "f16", "f8E4M3FN", "i8"}},
    {"gfx950", {"bf16", "f16", "f8E4M3FN", "f8E5M2", "i8"}},
    {"gfx1100", {"bf16", "f16", "i8"}},
    {"gfx1201", {"bf16", "f16", "f8E4M3FN", "f8E5M2", "i8"}},
};

bool has(const Row &row, Type element) {
  std::string name;
  llvm::raw_string_ostream(name) << element;
  return llvm::is_contained(row.elements, StringRef(name));
}

/// "a, b or c".
template <typename Names> std::string alternatives(const Names &names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + std::string(names.begin()[i]);
  return text;
}
} // namespace

bool multiplies(StringRef chip, Type element) {
  return llvm::any_of(table, [&](const Row &row) { return chip == row.chip && has(row, element); });
}

InFlightDiagnostic unfit(Operation *op, ErrorCode code) { return op->emitOpError() << "[E" << int(code) << "] "; }

InFlightDiagnostic unfit(Location loc, const Error &error) {
  return emitError(loc) << "[E" << int(error.code) << "] " << error.message;
}

ErrorCode numberOf(std::string &said, ErrorCode otherwise) {
  for (ErrorCode code :
       {ErrorCode::KernelElements, ErrorCode::KernelMemory, ErrorCode::KernelTile, ErrorCode::KernelText}) {
    const std::string mark = "[E" + std::to_string(int(code)) + "] ";
    if (const size_t at = said.find(mark); at != std::string::npos) {
      said.erase(at, mark.size());
      return code;
    }
  }
  return otherwise;
}

LogicalResult checkElements(MmaOp product, StringRef chip) {
  const Type element = product.getShapeOfA().getElementType(), sum = product.getType().getSum().getElementType();
  if (!multiplies(chip, element)) {
    std::string here;
    std::vector<const char *> others;
    for (const Row &row : table)
      if (chip == row.chip)
        here = alternatives(row.elements);
      else if (has(row, element))
        others.push_back(row.chip);
    InFlightDiagnostic diagnostic = unfit(product, ErrorCode::KernelElements)
                                    << "expects tiles of " << here << " on " << chip << ", but got "
                                    << product.getShapeOfA();
    if (!others.empty())
      diagnostic << ", which " << alternatives(others) << " multiplies";
    return diagnostic;
  }
  const bool integers = element.isInteger();
  if (integers ? !sum.isSignlessInteger(32) : !sum.isF32())
    return unfit(product, ErrorCode::KernelElements)
           << "expects sums of " << (integers ? "i32" : "f32") << " on " << chip << ", but got " << product.getType();
  return success();
}

LogicalResult checkCluster(KernelOp kernel, StringRef chip) {
  auto blocks = kernel->getAttrOfType<IntegerAttr>(kClusterAttr);
  if (!blocks)
    return success();
  for (const Row &row : table)
    if (chip == row.chip && blocks.getInt() > row.cluster)
      return unfit(kernel) << (row.cluster == 1 ? "expects no clusters of blocks on "
                                                : "expects clusters of at most " + Twine(row.cluster) + " blocks on ")
                           << chip << ", but got clusters of " << blocks.getInt();
  return success();
}

LogicalResult checkMemory(KernelOp kernel, const ChipFacts &chip, int64_t bytes, const SlotsOfKernel &slots) {
  const int64_t most = chip.sharedBytes;
  if (bytes <= most)
    return success();
  const char *what = StringRef(chip.road) == "amd" ? "LDS" : "shared memory";
  const int64_t others = bytes - slots.count * slots.bytes;
  InFlightDiagnostic diagnostic = unfit(kernel, ErrorCode::KernelMemory)
                                  << "expects at most " << most << " bytes of " << what << " on " << chip.name
                                  << ", but its slots take " << bytes - others;
  if (others)
    diagnostic << ", and its " << slots.others << " " << others;
  const int64_t fitting = (most - others) / std::max<int64_t>(slots.bytes, 1);
  if (slots.anyCount && fitting >= 2)
    return diagnostic << ": " << fitting << " slots in place of " << slots.count << " would fit";
  if (const int64_t least = slots.count ? (most - others) / slots.count : 0; least > 0)
    return diagnostic << ": slots of at most " << least << " bytes in place of " << slots.bytes << " would fit";
  return diagnostic;
}

} // namespace stepdown
