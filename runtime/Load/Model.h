// One model in memory: its verified artifact, its metadata, and its code and weights on a device. Immutable once
// loaded, so any number of sessions and threads share it.
#pragma once
#include "lib/Checkpoint/Metadata.h"
#include "runtime/Device.h"
#include "runtime/Load/ArtifactFile.h"
#include <memory>

namespace stepdown {

/// A program of a model with the code that runs it.
struct ProgramPart {
  const FileTarget *target = nullptr;
  size_t section = 0;            ///< of FileTarget::code
  std::vector<uint64_t> kernels; ///< what the device calls each entry of the code

  const Program &program() const { return target->program; }
  /// The number of `kernel` in the variant of `bucket`, for kernels and launch(); ~0 where the artifact has none.
  uint32_t entry(uint32_t kernel, uint32_t bucket) const { return program().entry(section, kernel, bucket); }
  /// How it is launched.
  const stepdown_launch &launch(uint32_t entry) const {
    const CodeIndex &index = target->code[section].index;
    return index.launches[index.entries[entry].launch];
  }
};

class Model {
public:
  /// Loads `path` onto `device`, with the code of `level` or, when null, of the best level that the device accepts;
  /// E05xx, E01xx, E02xx, E09xx, and E0601 where a copy finds no memory.
  static Result<std::shared_ptr<const Model>> load(const std::string &path, std::shared_ptr<Device> device,
                                                   const char *level = nullptr, FileUse use = FileUse::mapped);

  const ArtifactFile &artifact() const { return file; }
  /// What the artifact holds for the device.
  const FileTarget &target() const { return *plain.target; }
  const Program &program() const { return target().program; }
  const stepdown_program &head() const { return program().head; }
  const Metadata &metadata() const { return *pairs; }
  const char *architecture() const { return family.c_str(); }
  const char *name() const { return title.c_str(); }
  const char *level() const;
  Device &device() const { return *machine; }

  /// What it runs, and what it runs in steps of which some tokens have an adapter, or null.
  const ProgramPart &part() const { return plain; }
  const ProgramPart *adapted() const { return withAdapters.target ? &withAdapters : nullptr; }
  /// Device address of byte 0 of the weights section, of which the device has the target's weights alone.
  uint64_t weights() const { return weightsAddress; }
  uint64_t weightBytes() const { return endOfWeights - firstWeight; }
  /// Bytes that one position takes in the caches of all layers.
  uint64_t cacheBytesPerPosition() const;

private:
  explicit Model(ArtifactFile file) : file(std::move(file)) {}
  ArtifactFile file;
  std::shared_ptr<Device> machine;
  std::unique_ptr<Metadata> pairs;
  std::string family, title;
  Status loadPart(ProgramPart &part, const FileTarget &target, size_t section);
  ProgramPart plain, withAdapters;
  uint64_t weightsAddress = 0, firstWeight = 0, endOfWeights = 0;
};

/// The metadata pairs in the bytes of a METADATA section.
Result<Metadata> parseMetadata(const std::string &file, std::string_view section);

} // namespace stepdown
