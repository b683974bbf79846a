// A checkpoint: tensors by name, metadata, and what tells it from others, wherever it is from. The readers behind it
// (Gguf.h, HuggingFace/Folder.h) check everything that their format says and fill it in; what reads it knows the names
// of GGUF alone, for tensors and keys, so a family is described once.
#pragma once
#include "lib/Base/MappedFile.h"
#include "lib/Checkpoint/BlockFormat.h"
#include "lib/Checkpoint/Metadata.h"
#include <memory>

namespace stepdown {

/// Makes the blocks of a tensor that no file holds as they are needed here, when they are asked for.
class BlockSource {
public:
  virtual ~BlockSource() = default;
  /// Writes rows [first, first + count) of dims[0] elements, in the tensor's storage type, to `out`. From any thread.
  virtual void read(uint64_t first, uint64_t count, uint8_t *out) const = 0;
};

struct StoredTensor {
  std::string_view name;
  Storage storage;
  int rank;
  uint64_t dims[4]; ///< dims[0] is contiguous; a linear weight [out, in] has dims {in, out}
  uint64_t offset;  ///< of the data from the start of the file that holds it
  uint64_t bytes;
  const uint8_t *data; ///< `bytes` of them; null where the tensors were not looked at, or where `source` makes them
  bool mapped = true;  ///< pages of a file, which can be given back; else memory of the checkpoint
  const BlockSource *source = nullptr; ///< what makes them, if they are not to be had as they are

  uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
  uint64_t rowBytes() const { return bytes / rows(); }
  /// Rows [first, first + count): where they lie, or made in `room`. Only where the tensors were looked at.
  const uint8_t *read(uint64_t first, uint64_t count, std::vector<uint8_t> &room) const;
  /// The same tensor in blocks of `storage`, which its rows are whole ones of, that `maker` makes.
  StoredTensor madeBy(const BlockSource &maker, Storage storage) const;
};

class Checkpoint {
public:
  /// The GGUF file `path`, of a split model its first shard (E01xx), or the Hugging Face folder `path` (E14xx).
  /// `metadataOnly` does not look at tensors, nor for the other files of a split model (tokenize, render, inspect).
  static Result<Checkpoint> open(const std::string &path, bool metadataOnly = false);

  const Metadata &metadata() const { return *meta; }
  const std::vector<StoredTensor> &tensors() const { return infos; }
  const StoredTensor *tensor(std::string_view name) const;
  /// What multiplies every value of the tensor X.weight, or of each of its dims[2] experts, where the file has it:
  /// X.scale, F32 {dims[2]}, of types that keep scales of groups alone (nvfp4); else null. E0221: it is something else.
  Result<const StoredTensor *> scaleOf(const StoredTensor &tensor) const;
  /// The same for each of the tensor's rows [first, first + count), or nothing.
  Result<std::vector<float>> rowScales(const StoredTensor &tensor, uint64_t first, uint64_t count) const;
  /// What the user named, for messages.
  const std::string &path() const { return meta->file(); }
  /// Everything that was read; the bytes of these are the checkpoint's identity.
  const std::vector<MappedFile> &files() const { return mapped; }
  /// The pairs of the metadata as they are encoded, and their number.
  std::string_view pairs() const { return encoded; }
  uint64_t pairCount() const { return meta->keys().size(); }

private:
  friend class CheckpointBuilder;
  std::vector<MappedFile> mapped;
  std::shared_ptr<const Metadata> meta;
  std::string_view encoded;                      // in a mapped file, or in `made`
  std::vector<std::shared_ptr<const void>> made; // what no file holds as it is needed here
  std::vector<StoredTensor> infos;
  std::unordered_map<std::string_view, size_t> byName;
};

/// What a reader fills a checkpoint in with.
class CheckpointBuilder {
public:
  CheckpointBuilder() = default;
  /// Goes on with `other`.
  explicit CheckpointBuilder(Checkpoint other) : checkpoint(std::move(other)) {}
  void add(MappedFile file) { checkpoint.mapped.push_back(std::move(file)); }
  /// Metadata that were parsed from `pairs`, which lie in an added file or in what was kept.
  void setMetadata(std::shared_ptr<const Metadata> metadata, std::string_view pairs);
  void keep(std::shared_ptr<const void> memory) { checkpoint.made.push_back(std::move(memory)); }
  /// False where there is a tensor of its name already.
  bool add(const StoredTensor &tensor);
  /// Puts `tensor` in the place of the one of its name, which there is.
  void replace(const StoredTensor &tensor) { checkpoint.infos[checkpoint.byName.at(tensor.name)] = tensor; }
  const Checkpoint &soFar() const { return checkpoint; }
  Checkpoint finish() { return std::move(checkpoint); }

private:
  Checkpoint checkpoint;
};

/// The files that the checkpoint `path` consists of, by the names alone: those of a split model, those of a folder;
/// `path` alone where it is neither.
std::vector<std::string> checkpointFiles(const std::string &path);

} // namespace stepdown
