// One model in memory: its verified artifact, its metadata, and its code and weights on a device. Immutable once
// loaded, so any number of sessions and threads share it.
#pragma once
#include "lib/Checkpoint/Gguf.h"
#include "runtime/Device.h"
#include "runtime/Load/ArtifactFile.h"
#include <memory>

namespace stepdown {

class Model {
public:
  /// Loads `path` onto `device`, with the code of level `isa` or, when null, of the best level that the device accepts;
  /// E05xx, E01xx, E02xx, E09xx, and E0601 where a copy finds no memory.
  static Result<std::shared_ptr<const Model>> load(const std::string &path, std::shared_ptr<Device> device,
                                                   const char *isa = nullptr, FileUse use = FileUse::mapped);

  const ArtifactFile &artifact() const { return file; }
  const Program &program() const { return file.program(); }
  const stepdown_program &head() const { return file.program().head; }
  const Metadata &metadata() const { return *pairs; }
  const char *architecture() const { return family.c_str(); }
  const char *name() const { return title.c_str(); }
  const char *level() const;
  Device &device() const { return *machine; }

  /// What the device calls `kernel` in the variant of `bucket`; 0 where the artifact has none.
  uint64_t kernel(uint32_t kernel, uint32_t bucket) const;
  /// Device address of the weights section.
  uint64_t weights() const { return weightsAddress; }
  /// Bytes that one position takes in the caches of all layers.
  uint64_t cacheBytesPerPosition() const;

private:
  explicit Model(ArtifactFile file) : file(std::move(file)) {}
  ArtifactFile file;
  std::shared_ptr<Device> machine;
  std::unique_ptr<Metadata> pairs;
  std::string family, title;
  size_t codeIndex = 0;
  std::vector<uint64_t> kernels; ///< what the device calls each entry of the code
  uint64_t weightsAddress = 0;
};

/// The metadata pairs in the bytes of a METADATA section.
Result<Metadata> parseMetadata(const std::string &file, std::string_view section);

} // namespace stepdown
