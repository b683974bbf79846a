// The file is reserved in full before anything is written, so that a full disk is known at once; weights are packed in
// bounded memory, and the compiler's own memory does not grow with the model.
#include "lib/Artifact/ArtifactWriter.h"
#include "lib/Artifact/Tables.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace stepdown {
namespace {

/// The CODE sections of one target, and the number of every entry in each of them.
struct PlacedCode {
  PlacedCode(const std::vector<TargetCode> &code, const std::vector<CodeEntry> &entries, uint64_t alignment) {
    for (const TargetCode &one : code) {
      std::vector<CodeEntry> all = entries; // kernels behind the functions that launch them
      for (CodeEntry &kernel : entriesOf(one.kernels))
        all.push_back(std::move(kernel));
      sections.emplace_back(one.target->id, layOutCode(one.code, all, alignment, numbers));
      numbers.resize(sections.size() * entries.size()); // tables list functions alone
    }
  }
  std::vector<std::pair<uint32_t, std::vector<uint8_t>>> sections; ///< level, bytes
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

  /// A target with the section of its tables and its code. `name` has room, as have the sections: who adds the ninth
  /// target changes the header.
  void addTarget(const std::string &name, uint64_t alignment, uint16_t kind, const std::vector<uint8_t> &tables,
                 const PlacedCode &code) {
    const uint16_t number = header.target_count++;
    stepdown_target &target = header.targets[number];
    name.copy(target.name, sizeof target.name - 1);
    target.alignment = static_cast<uint32_t>(alignment);
    add(kind, number, 0, tables.data(), tables.size());
    for (const auto &[level, bytes] : code.sections)
      add(STEPDOWN_SECTION_CODE, number, level, bytes.data(), bytes.size());
  }

  /// A section of all targets. `data` is null for bytes that are written later.
  void add(uint16_t kind, const void *data, uint64_t size) { add(kind, STEPDOWN_ALL_TARGETS, 0, data, size); }

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
  void add(uint16_t kind, uint16_t target, uint32_t level, const void *data, uint64_t size) {
    header.sections[header.section_count++] = {
        kind, target, level, header.file_size, size, data ? XXH3_64bits(data, size) : 0};
    contents.push_back(data);
    header.file_size = llvm::alignTo(header.file_size + size, STEPDOWN_PAGE);
  }
  std::vector<const void *> contents;
};

/// The records of the packed weights that a target has.
std::vector<stepdown_weight> describeWeights(const PackedWeights &plan, const std::vector<uint32_t> &weights,
                                             Names &names) {
  std::vector<stepdown_weight> records;
  for (uint32_t i : weights) {
    const WeightEntry &w = plan.entries[i];
    stepdown_weight record{};
    record.name = names.add(w.tensor);
    record.storage = w.storage;
    record.packing = w.isAdapter              ? STEPDOWN_PACKING_ADAPTERS
                     : plan.places[i].isStack ? STEPDOWN_PACKING_STACK16
                     : w.layout               ? w.layout->packing
                                              : STEPDOWN_PACKING_ROWS;
    const std::vector<int64_t> dims = w.isAdapter ? w.dims : w.packedDims();
    if (w.isAdapter)
      record.group = w.padding.group, record.group_room = w.padding.groupRoom;
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
                                   const PackedWeights &plan, const std::vector<uint32_t> &weightNumbers) {
  Names names;
  names.add("");
  const std::vector<stepdown_weight> weights = describeWeights(plan, weightNumbers, names);
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
  header.cache = tables.add(std::vector<stepdown_cache>{program.cache});
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

Result<PackedWeights> planProgramWeights(const Checkpoint &checkpoint, std::vector<WeightEntry> weights,
                                         uint64_t alignment) {
  for (WeightEntry &weight : weights)
    if (!weight.layout && weight.table.empty() && !weight.isAdapter)
      if (const StoredTensor *tensor = checkpoint.tensor(weight.tensor))
        weight.storage = static_cast<uint32_t>(tensor->storage);
  return planWeights(checkpoint, std::move(weights), alignment);
}

Status writeArtifact(PartFile &file, ArtifactParts parts, int jobs,
                     const std::function<void(uint64_t, uint64_t)> &progress) {
  const Checkpoint &checkpoint = *parts.checkpoint;
  if (parts.targets.size() > STEPDOWN_MAX_TARGETS)
    return fail(ErrorCode::CompileOption, "%s: expects at most %u targets in an artifact, but got %zu",
                file.path().c_str(), STEPDOWN_MAX_TARGETS, parts.targets.size());
  uint64_t alignment = 1; // powers of two: the largest is one of all
  std::vector<std::vector<WeightEntry>> weightLists;
  for (TargetParts &target : parts.targets) {
    alignment = std::max(alignment, target.program.alignment);
    weightLists.push_back(std::move(target.program.weights));
  }
  SharedWeights shared = shareWeights(std::move(weightLists));
  Result<PackedWeights> plan = planProgramWeights(checkpoint, std::move(shared.entries), alignment);
  if (!plan)
    return plan.error();
  std::vector<PlacedCode> codes;
  std::vector<std::vector<uint8_t>> programs;
  std::vector<uint64_t> alignments;
  for (size_t t = 0; t < parts.targets.size(); ++t) {
    TargetParts &target = parts.targets[t];
    alignments.push_back(target.program.alignment);
    codes.emplace_back(target.code, target.program.variants, target.program.alignment);
    programs.push_back(layOutProgram(std::move(target.program), codes.back().numbers, *plan, shared.places[t]));
  }
  const uint64_t pairs = checkpoint.pairCount();
  std::vector<uint8_t> metadata(sizeof pairs);
  std::memcpy(metadata.data(), &pairs, sizeof pairs);
  metadata.insert(metadata.end(), checkpoint.pairs().begin(), checkpoint.pairs().end());

  Sections sections;
  sections.add(STEPDOWN_SECTION_METADATA, metadata.data(), metadata.size());
  for (size_t t = 0; t < parts.targets.size(); ++t)
    sections.addTarget(parts.targets[t].name, alignments[t], STEPDOWN_SECTION_PROGRAM, programs[t], codes[t]);
  sections.add(STEPDOWN_SECTION_PROVENANCE, parts.provenance.data(), parts.provenance.size());
  sections.add(STEPDOWN_SECTION_WEIGHTS, nullptr, plan->bytes);
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
  std::vector<std::pair<std::string, std::vector<TargetCode>>> targets; // in the order of their first code
  for (const TargetCode &one : code) {
    auto known = std::find_if(targets.begin(), targets.end(),
                              [&](const auto &target) { return target.first == one.target->device; });
    if (known == targets.end())
      known = targets.insert(known, {one.target->device, {}});
    known->second.push_back(one);
  }
  std::vector<PlacedCode> placed;
  std::vector<std::vector<uint8_t>> tables;
  for (const auto &[name, codes] : targets) {
    placed.emplace_back(codes, entriesOf(functions), codes.front().target->layout->alignment);
    tables.push_back(layOutFunctions(functions, placed.back().numbers));
  }
  Sections sections;
  for (size_t t = 0; t < targets.size(); ++t)
    sections.addTarget(targets[t].first, targets[t].second.front().target->layout->alignment,
                       STEPDOWN_SECTION_FUNCTIONS, tables[t], placed[t]);
  sections.add(STEPDOWN_SECTION_PROVENANCE, provenance.data(), provenance.size());
  if (Status status = sections.write(file); !status)
    return status;
  return sections.seal(file);
}

} // namespace stepdown
