#include "lib/CodeGen/ImageWriter.h"

#include "dialects/Tile/IR/TileDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>
#include <optional>

using namespace mlir;

namespace stepdown {
namespace {

/// CUtensorMapDataType; fp8 is copied as bytes.
std::optional<uint8_t> elementTypeOf(Type type) {
  if (type.isF16())
    return 6;
  if (type.isF32())
    return 7;
  if (type.isF64())
    return 8;
  if (type.isBF16())
    return 9;
  if (type.isInteger(32))
    return 3;
  if (type.isInteger(64))
    return 5;
  if (type.isIntOrFloat() && type.getIntOrFloatBitWidth() == 8)
    return 0;
  return std::nullopt;
}

/// The 128-byte swizzle, which every map of tile.launch has whose box is a matrix.
constexpr uint8_t kSwizzle128 = 3;

template <typename T> stepdown_table append(std::vector<uint8_t> &bytes, llvm::ArrayRef<T> records) {
  bytes.resize((bytes.size() + 7) / 8 * 8);
  const stepdown_table table = {uint32_t(bytes.size()), uint32_t(records.size())};
  const auto *from = reinterpret_cast<const uint8_t *>(records.data());
  bytes.insert(bytes.end(), from, from + records.size() * sizeof(T));
  return table;
}

/// The interface of a kernel of numbers and addresses, one word each.
Result<KernelInterface> numbersOf(LLVM::LLVMFuncOp function, KernelInterface result) {
  result.launch = {{{1, 1}, {1, 1}, {1, 1}}, {1, 1, 1}, {1, 1, 1}, 0};
  for (llvm::StringRef name : {"nvvm.maxntid", "nvvm.reqntid"})
    if (auto threads = function->getAttrOfType<DenseI32ArrayAttr>(name))
      llvm::copy(threads.asArrayRef(), result.launch.block);
  if (auto threads = function->getAttrOfType<DenseI32ArrayAttr>("rocdl.reqd_work_group_size"))
    llvm::copy(threads.asArrayRef(), result.launch.block);
  for (auto [i, type] : llvm::enumerate(function.getFunctionType().getParams())) {
    stepdown_kernel_parameter parameter = {};
    parameter.operand = uint32_t(i);
    parameter.holds = STEPDOWN_HOLDS_VALUE;
    if (isa<LLVM::LLVMPointerType>(type))
      parameter.dimension = 8;
    else if (type.isIntOrFloat() && type.getIntOrFloatBitWidth() <= 64)
      parameter.dimension = uint8_t(llvm::PowerOf2Ceil(llvm::divideCeil(type.getIntOrFloatBitWidth(), 8)));
    else
      return fail(ErrorCode::KernelTranslation, "%s: parameter %zu: expects a number or an address",
                  result.name.c_str(), size_t(i));
    result.ranks.push_back(0);
    result.parameters.push_back(parameter);
  }
  return result;
}

} // namespace

Result<KernelInterface> kernelInterface(LLVM::LLVMFuncOp function) {
  KernelInterface result;
  result.name = function.getSymName().str();
  auto launch = function->getAttrOfType<DictionaryAttr>(tile::kLaunchAttr);
  if (!launch)
    return numbersOf(function, std::move(result));
  result.launch = {{{1, 1}, {1, 1}, {1, 1}},
                   {uint32_t(launch.getAs<IntegerAttr>("threads").getInt()), 1, 1},
                   {1, 1, 1},
                   uint32_t(launch.getAs<IntegerAttr>("shared_bytes").getInt())};
  if (auto cluster = launch.getAs<IntegerAttr>("cluster"))
    result.launch.cluster[0] = uint32_t(cluster.getInt());
  for (auto given : launch.getAs<ArrayAttr>("parameters").getAsRange<DictionaryAttr>()) {
    stepdown_kernel_parameter parameter = {};
    parameter.operand = uint32_t(given.getAs<IntegerAttr>("argument").getInt());
    const llvm::StringRef holds = given.getAs<StringAttr>("holds").getValue();
    parameter.holds = llvm::StringSwitch<uint8_t>(holds)
                          .Case("map", STEPDOWN_HOLDS_MAP)
                          .Case("pointer", STEPDOWN_HOLDS_ADDRESS)
                          .Case("stride", STEPDOWN_HOLDS_STRIDE)
                          .Cases({"rows", "columns"}, STEPDOWN_HOLDS_SIZE)
                          .Default(0);
    parameter.dimension = holds == "columns";
    if (parameter.holds == 0)
      return fail(ErrorCode::KernelTranslation,
                  "%s: parameter %zu: expects what the address and dimensions of an operand say, but got a %s",
                  result.name.c_str(), result.parameters.size(), holds.str().c_str());
    if (parameter.holds == STEPDOWN_HOLDS_MAP) {
      auto box = cast<MemRefType>(given.getAs<TypeAttr>("box").getValue());
      const std::optional<uint8_t> type = elementTypeOf(box.getElementType());
      if (!type)
        return fail(ErrorCode::KernelTranslation, "%s: parameter %zu: expects elements that a tensor map has",
                    result.name.c_str(), result.parameters.size());
      parameter.element_type = *type;
      parameter.swizzle = box.getRank() == 2 ? kSwizzle128 : 0;
      parameter.or_address = given.contains("or_pointer");
      for (int64_t d = 0; d < box.getRank(); ++d)
        parameter.box[d] = uint16_t(box.getDimSize(box.getRank() - 1 - d));
    }
    if (parameter.operand >= result.ranks.size())
      result.ranks.resize(parameter.operand + 1, 2); // matrices
    if (parameter.holds == STEPDOWN_HOLDS_MAP)
      result.ranks[parameter.operand] = uint32_t(cast<MemRefType>(given.getAs<TypeAttr>("box").getValue()).getRank());
    result.parameters.push_back(parameter);
  }
  return result;
}

std::vector<uint8_t> layOutImage(llvm::ArrayRef<KernelInterface> kernels, llvm::ArrayRef<uint8_t> code,
                                 llvm::ArrayRef<uint8_t> operations) {
  std::vector<stepdown_image_kernel> records;
  std::vector<uint32_t> ranks;
  std::vector<stepdown_kernel_parameter> parameters;
  std::string strings;
  for (const KernelInterface &kernel : kernels) {
    records.push_back({uint32_t(strings.size()), uint32_t(ranks.size()), uint32_t(kernel.ranks.size()),
                       uint32_t(parameters.size()), uint32_t(kernel.parameters.size())});
    ranks.insert(ranks.end(), kernel.ranks.begin(), kernel.ranks.end());
    parameters.insert(parameters.end(), kernel.parameters.begin(), kernel.parameters.end());
    strings.append(kernel.name.c_str(), kernel.name.size() + 1);
  }
  stepdown_image head = {};
  head.magic = STEPDOWN_IMAGE_MAGIC;
  std::vector<uint8_t> bytes(sizeof head);
  head.kernels = append<stepdown_image_kernel>(bytes, records);
  head.ranks = append<uint32_t>(bytes, ranks);
  head.parameters = append<stepdown_kernel_parameter>(bytes, parameters);
  head.strings = append<char>(bytes, {strings.data(), strings.size()});
  head.operations = append<uint8_t>(bytes, operations).offset;
  head.operation_bytes = operations.size();
  head.code = append<uint8_t>(bytes, code).offset;
  head.code_bytes = code.size();
  bytes.resize((bytes.size() + 7) / 8 * 8);
  std::memcpy(bytes.data(), &head, sizeof head);
  return bytes;
}

} // namespace stepdown
