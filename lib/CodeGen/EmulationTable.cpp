#include "lib/CodeGen/EmulationTable.h"
#include "lib/Target/Chips.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/DataLayout.h"
#include "llvm/IR/DerivedTypes.h"
#include <cstring>

using namespace llvm;

namespace stepdown {

unsigned slotsOf(Type *type, const DataLayout &layout) {
  if (auto *structure = dyn_cast<StructType>(type)) {
    unsigned count = 0;
    for (Type *element : structure->elements())
      count += slotsOf(element, layout);
    return count;
  }
  return (layout.getTypeStoreSize(type) + 7) / 8;
}

namespace {

/// Up to three numbers apart by commas, as "nvvm.maxntid" has them.
void readNumbers(const Function &function, StringRef attribute, uint32_t (&numbers)[3]) {
  SmallVector<StringRef> parts;
  function.getFnAttribute(attribute).getValueAsString().split(parts, ',', -1, false);
  for (size_t i = 0; i < parts.size() && i < 3; ++i)
    parts[i].trim().getAsInteger(10, numbers[i]);
}

} // namespace

uint32_t EmulationTable::name(StringRef text) {
  auto [at, added] = known.try_emplace(text, static_cast<uint32_t>(names.size()));
  if (added)
    names += text.str() + '\0';
  return at->second;
}

uint32_t EmulationTable::addKernel(const Function &kernel, uint64_t staticShared) {
  stepdown_emulated_kernel row = {};
  row.name = name(kernel.getName());
  uint32_t threads[3] = {0, 1, 1};
  readNumbers(kernel, "nvvm.maxntid", threads);
  readNumbers(kernel, "nvvm.reqntid", threads);
  row.max_threads = threads[0] * threads[1] * threads[2];
  readNumbers(kernel, "nvvm.cluster_dim", row.cluster);
  row.static_shared = static_cast<uint32_t>(staticShared);
  const ChipFacts *chip = factsOfChip(kernel.getFnAttribute("target-cpu").getValueAsString());
  assert(chip && "translateKernels names the chip of a kernel");
  row.warp_lanes = chip->lanes;
  row.shared_limit = chip->sharedBytes;
  if (kernel.getCallingConv() == CallingConv::AMDGPU_KERNEL) {
    row.amd = 1;
    readNumbers(kernel, "amdgpu-flat-work-group-size", threads); // the least and the most
    row.max_threads = threads[1];
  }
  kernels.push_back(row);
  flushes.push_back(chip->flushes);
  return kernels.size() - 1;
}

uint32_t EmulationTable::add(StringRef text, uint32_t kernel, StringRef file, uint32_t line,
                             const EmulatedOperation &operation, unsigned results, unsigned arguments, unsigned bytes) {
  stepdown_emulated_operation row = {};
  row.name = name(text);
  row.kernel = kernel;
  row.file = name(file);
  row.line = line;
  row.kind = operation.kind;
  row.results = results;
  row.arguments = arguments;
  row.bytes = bytes;
  std::memcpy(row.modifiers, operation.modifiers.data(), sizeof row.modifiers);
  if (operation.kind == STEPDOWN_EMULATED_mfma && EmulatedType(operation.modifiers[2]) == EmulatedType::F32)
    row.modifiers[5] = flushes[kernel];
  operations.push_back(row);
  return operations.size() - 1;
}

void EmulationTable::place(const std::map<std::string, uint64_t> &entries) {
  for (stepdown_emulated_kernel &kernel : kernels)
    kernel.entry = entries.at(names.c_str() + kernel.name);
}

std::vector<uint8_t> EmulationTable::bytes() const {
  const stepdown_emulated_header header = {STEPDOWN_EMULATION_MAGIC, static_cast<uint32_t>(kernels.size()),
                                           static_cast<uint32_t>(operations.size()),
                                           static_cast<uint32_t>(names.size())};
  std::vector<uint8_t> out;
  auto append = [&](const void *from, size_t size) {
    const auto *bytes = static_cast<const uint8_t *>(from);
    out.insert(out.end(), bytes, bytes + size);
  };
  append(&header, sizeof header);
  append(kernels.data(), kernels.size() * sizeof kernels[0]);
  append(operations.data(), operations.size() * sizeof operations[0]);
  append(names.data(), names.size());
  return out;
}

} // namespace stepdown
