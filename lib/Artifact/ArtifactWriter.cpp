// The file is reserved in full before anything is written, so that a full disk is known at once; weights are packed in
// bounded memory, and the compiler's own memory does not grow with the model.
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/Tables.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace stepdown {
namespace {

/// The CODE sections, and the number of every entry in each of them.
struct PlacedCode {
  PlacedCode(const std::vector<TargetCode> &code, const std::vector<CodeEntry> &entries) {
    for (const TargetCode &one : code)
      sections.emplace_back(one.target->id, layOutCode(one.code, entries, numbers));
  }
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> sections; ///< target, bytes
  std::vector<uint32_t> numbers;                                   ///< [sections, entries]
};

/// The sections of a file, each on its own pages, and the header that lists them.
class Sections {
public:
  Sections() {
    static_assert(sizeof header <= STEPDOWN_PAGE);
    std::memcpy(header.magic, STEPDOWN_ARTIFACT_MAGIC, sizeof header.magic);
    header.abi_version = STEPDOWN_ABI_VERSION;
    header.file_size = STEPDOWN_PAGE;
  }

  /// `data` is null for bytes that are written later.
  void add(uint32_t kind, uint32_t target, const void *data, uint64_t size) {
    header.sections[header.section_count++] = {kind, target, header.file_size, size,
                                               data ? XXH3_64bits(data, size) : 0};
    contents.push_back(data);
    header.file_size = llvm::alignTo(header.file_size + size, STEPDOWN_PAGE);
  }

  void add(const PlacedCode &code) {
    for (const auto &[target, bytes] : code.sections)
      add(STEPDOWN_SECTION_CODE, target, bytes.data(), bytes.size());
  }

  Status write(PartFile &file) {
    if (Status status = file.reserve(header.file_size); !status)
      return status;
    for (size_t i = 0; i < contents.size(); ++i)
      if (contents[i])
        if (Status status = file.write(contents[i], header.sections[i].size, header.sections[i].offset); !status)
          return status;
    return Done{};
  }

  /// The header last: until then the file is none.
  Status seal(PartFile &file) {
    std::vector<uint8_t> page(STEPDOWN_PAGE);
    std::memcpy(page.data(), &header, sizeof header);
    reinterpret_cast<stepdown_header *>(page.data())->checksum = XXH3_64bits(page.data(), page.size());
    return file.write(page.data(), page.size(), 0);
  }

  stepdown_header header{};

private:
  std::vector<const void *> contents;
};

/// The records of the packed weights.
std::vector<stepdown_weight> describeWeights(const PackedWeights &plan, Names &names) {
  std::vector<stepdown_weight> records;
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    const WeightEntry &w = plan.entries[i];
    stepdown_weight record{};
    record.name = names.add(w.tensor);
    record.storage = w.storage;
    record.packing = w.layout ? w.layout->packing : STEPDOWN_PACKING_ROWS;
    const std::vector<int64_t> dims = w.packedDims();
    record.rank = dims.size();
    for (size_t d = 0; d < 4; ++d)
      record.dims[d] = d < dims.size() ? dims[d] : 1;
    record.offset = plan.places[i].offset;
    record.bytes = plan.places[i].bytes;
    records.push_back(record);
  }
  return records;
}

} // namespace

std::vector<uint8_t> layOutProgram(BuiltProgram program, const std::vector<uint32_t> &numbers,
                                   const PackedWeights &plan) {
  Names names;
  names.add("");
  const std::vector<stepdown_weight> weights = describeWeights(plan, names);
  std::vector<stepdown_kernel> kernels;
  for (const std::string &name : program.kernels)
    kernels.push_back({names.add(name), 0});
  for (size_t i = 0; i < program.buffers.size(); ++i)
    program.buffers[i].name = names.add(program.bufferNames[i]);
  Tables tables;
  tables.bytes.resize(sizeof(stepdown_program));
  stepdown_program header = program.header;
  header.buckets = tables.add(program.buckets);
  header.buffers = tables.add(program.buffers);
  header.groups = tables.add(program.groups);
  header.layers = tables.add(program.layers);
  header.kinds = tables.add(program.kinds);
  header.weights = tables.add(weights);
  header.weight_lists = tables.add(program.weightLists);
  header.kernels = tables.add(kernels);
  header.code = tables.add(numbers);
  header.dispatches = tables.add(program.dispatches);
  header.operands = tables.add(program.operands);
  header.strings = tables.add(names.bytes);
  std::memcpy(tables.bytes.data(), &header, sizeof header);
  return std::move(tables.bytes);
}

Result<PackedWeights> planProgramWeights(const Gguf &checkpoint, std::vector<WeightEntry> weights, uint64_t alignment) {
  for (WeightEntry &weight : weights)
    if (!weight.layout && weight.table.empty())
      if (const GgufTensor *tensor = checkpoint.tensor(weight.tensor))
        weight.storage = static_cast<uint32_t>(tensor->storage);
  return planWeights(checkpoint, std::move(weights), alignment);
}

Status writeArtifact(PartFile &file, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress) {
  const Gguf &checkpoint = *parts.checkpoint;
  Result<PackedWeights> plan =
      planProgramWeights(checkpoint, std::move(parts.program.weights), parts.program.alignment);
  if (!plan)
    return plan.error();
  const PlacedCode code(parts.code, parts.program.variants);
  const std::vector<uint8_t> program = layOutProgram(std::move(parts.program), code.numbers, *plan);
  const uint64_t pairs = checkpoint.metadataCount();
  std::vector<uint8_t> metadata(sizeof pairs);
  std::memcpy(metadata.data(), &pairs, sizeof pairs);
  metadata.insert(metadata.end(), checkpoint.file().data() + checkpoint.metadataBegin(),
                  checkpoint.file().data() + checkpoint.metadataEnd());

  Sections sections;
  sections.add(STEPDOWN_SECTION_METADATA, 0, metadata.data(), metadata.size());
  sections.add(STEPDOWN_SECTION_PROGRAM, 0, program.data(), program.size());
  sections.add(code);
  sections.add(STEPDOWN_SECTION_PROVENANCE, 0, parts.provenance.data(), parts.provenance.size());
  sections.add(STEPDOWN_SECTION_WEIGHTS, 0, nullptr, plan->bytes);
  if (Status status = sections.write(file); !status)
    return status;
  stepdown_section &weights = sections.header.sections[sections.header.section_count - 1];
  if (Status status =
          writeWeights(*plan, file.path(), file.descriptor(), weights.offset, jobs, progress, &weights.checksum);
      !status)
    return status;
  return sections.seal(file);
}

Status writeFunctions(PartFile &file, const std::vector<FunctionSignature> &functions,
                      const std::vector<TargetCode> &code, const std::string &provenance) {
  const PlacedCode placed(code, entriesOf(functions));
  const std::vector<uint8_t> table = layOutFunctions(functions, placed.numbers);
  Sections sections;
  sections.add(STEPDOWN_SECTION_FUNCTIONS, 0, table.data(), table.size());
  sections.add(placed);
  sections.add(STEPDOWN_SECTION_PROVENANCE, 0, provenance.data(), provenance.size());
  if (Status status = sections.write(file); !status)
    return status;
  return sections.seal(file);
}

} // namespace stepdown
