// One model in memory: its verified artifact, its metadata, and its code and weights on a device. Immutable once
// loaded, so any number of sessions and threads share it.
#pragma once
#include "lib/Checkpoint/Metadata.h"
#include "runtime/Device.h"
#include "runtime/Load/ArtifactFile.h"
#include <memory>

namespace stepdown {

class Model {
public:
  /// Loads `path` onto `device`, with the code of `level` or, when null, of the best level that the device accepts;
  /// E05xx, E01xx, E02xx, E09xx, and E0601 where a copy finds no memory.
  static Result<std::shared_ptr<const Model>> load(const std::string &path, std::shared_ptr<Device> device,
                                                   const char *level = nullptr, FileUse use = FileUse::mapped);

  const ArtifactFile &artifact() const { return file; }
  /// What the artifact holds for the device.
  const FileTarget &target() const { return file.targets()[chosen.target]; }
  const Program &program() const { return target().program; }
  const stepdown_program &head() const { return program().head; }
  const Metadata &metadata() const { return *pairs; }
  const char *architecture() const { return family.c_str(); }
  const char *name() const { return title.c_str(); }
  const char *level() const;
  Device &device() const { return *machine; }

  /// The number of `kernel` in the variant of `bucket`, for kernel() and launch(); ~0 where the artifact has none.
  uint32_t entry(uint32_t kernel, uint32_t bucket) const { return program().entry(chosen.section, kernel, bucket); }
  /// What the device calls the kernel at an entry.
  uint64_t kernel(uint32_t entry) const { return kernels[entry]; }
  /// How it is launched.
  const stepdown_launch &launch(uint32_t entry) const {
    const CodeIndex &index = target().code[chosen.section].index;
    return index.launches[index.entries[entry].launch];
  }
  /// Device address of byte 0 of the weights section, of which the device has the target's weights alone.
  uint64_t weights() const { return weightsAddress; }
  uint64_t weightBytes() const { return target().endOfWeights - target().firstWeight; }
  /// Bytes that one position takes in the caches of all layers.
  uint64_t cacheBytesPerPosition() const;

private:
  explicit Model(ArtifactFile file) : file(std::move(file)) {}
  ArtifactFile file;
  std::shared_ptr<Device> machine;
  std::unique_ptr<Metadata> pairs;
  std::string family, title;
  ChosenCode chosen;
  std::vector<uint64_t> kernels; ///< what the device calls each entry of the code
  uint64_t weightsAddress = 0;
};

/// The metadata pairs in the bytes of a METADATA section.
Result<Metadata> parseMetadata(const std::string &file, std::string_view section);

} // namespace stepdown
