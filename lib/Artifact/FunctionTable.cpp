#include "lib/Artifact/FunctionTable.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Artifact/Tables.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <cstring>

using namespace mlir;

namespace stepdown {

static stepdown_element elementOf(Type type) {
  if (auto block = dyn_cast<transformer::BlockType>(type))
    return block.getStorage() == "f32" ? STEPDOWN_F32 : block.getStorage() == "f16" ? STEPDOWN_F16 : STEPDOWN_BF16;
  if (type.isIndex())
    return STEPDOWN_INDEX;
  if (type.isBF16())
    return STEPDOWN_BF16;
  if (isa<Float8E4M3FNType, Float8E5M2Type>(type))
    return isa<Float8E5M2Type>(type) ? STEPDOWN_F8E5M2 : STEPDOWN_F8E4M3FN;
  if (isa<FloatType>(type))
    return type.isF16() ? STEPDOWN_F16 : type.isF32() ? STEPDOWN_F32 : STEPDOWN_F64;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return STEPDOWN_I1;
  case 8:
    return STEPDOWN_I8;
  case 16:
    return STEPDOWN_I16;
  case 32:
    return STEPDOWN_I32;
  default:
    return STEPDOWN_I64;
  }
}

// Batches and caches as passes/Linalg/PlainOperations.h has them.
static stepdown_value valueOf(Type type) {
  if (isa<transformer::BatchType>(type))
    return {STEPDOWN_I32, 1, {-1}};
  if (auto cache = dyn_cast<transformer::CacheType>(type))
    return {uint32_t(elementOf(cache.getElement())),
            2,
            {-1, int64_t(cache.getHeads()) * (int64_t(cache.getKey()) + int64_t(cache.getValue()))}};
  auto tensor = cast<RankedTensorType>(type);
  stepdown_value value{};
  value.element = elementOf(tensor.getElementType());
  value.rank = static_cast<uint32_t>(tensor.getRank());
  for (int64_t d = 0; d < tensor.getRank(); ++d)
    value.dims[d] = tensor.isDynamicDim(d) ? -1 : tensor.getDimSize(d);
  return value;
}

FunctionSignature signatureOf(StringRef name, FunctionType type) {
  FunctionSignature signature{name.str(), {}, {}};
  for (Type argument : type.getInputs())
    signature.arguments.push_back(valueOf(argument));
  for (Type result : type.getResults())
    signature.results.push_back(valueOf(result));
  return signature;
}

std::vector<CodeEntry> entriesOf(const std::vector<FunctionSignature> &functions) {
  std::vector<CodeEntry> entries;
  for (const FunctionSignature &function : functions) {
    CodeEntry entry;
    entry.function = function.name;
    entry.values = function.arguments;
    entry.record.count = static_cast<uint32_t>(function.arguments.size());
    entry.record.results = static_cast<uint32_t>(function.results.size());
    entry.values.insert(entry.values.end(), function.results.begin(), function.results.end());
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<CodeEntry> entriesOf(const std::vector<LaunchedKernel> &kernels) {
  std::vector<CodeEntry> entries;
  for (const LaunchedKernel &kernel : kernels) {
    CodeEntry entry;
    entry.function = kernel.image;
    entry.name = kernel.interface.name;
    entry.launch = kernel.interface.launch;
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<uint8_t> layOutFunctions(const std::vector<FunctionSignature> &functions,
                                     const std::vector<uint32_t> &numbers) {
  Names names;
  std::vector<stepdown_function> records;
  std::vector<stepdown_value> values;
  for (const FunctionSignature &function : functions) {
    records.push_back({names.add(function.name), static_cast<uint32_t>(values.size()),
                       static_cast<uint32_t>(function.arguments.size()),
                       static_cast<uint32_t>(function.results.size())});
    values.insert(values.end(), function.arguments.begin(), function.arguments.end());
    values.insert(values.end(), function.results.begin(), function.results.end());
  }
  Tables tables;
  tables.bytes.resize(sizeof(stepdown_functions));
  stepdown_functions header{};
  header.functions = tables.add(records);
  header.values = tables.add(values);
  header.code = tables.add(numbers);
  header.strings = tables.add(names.bytes);
  std::memcpy(tables.bytes.data(), &header, sizeof header);
  return std::move(tables.bytes);
}

} // namespace stepdown
