// Streams weights of a checkpoint, packed for the kernels, into the weights section of an artifact.
#pragma once
#include "include/stepdown/Artifact.h"
#include "lib/Base/Result.h"
#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Target/Layout.h"
#include <functional>
#include <string>
#include <vector>

namespace stepdown {

/// A weight of the artifact: rows [firstRow, firstRow + dims[1]) of a matrix of the checkpoint, elements [firstRow,
/// firstRow + dims[0]) of a vector, or a table that the compiler computed.
struct WeightEntry {
  std::string tensor; ///< the checkpoint's name; of a table, what it holds
  int64_t firstRow = 0;
  std::vector<int64_t> dims;      ///< dims[0] contiguous, 1 to 4; of the tensor, without padding
  uint32_t storage = 0;           ///< GGUF type id of the checkpoint's tensor
  const Layout *layout = nullptr; ///< of a matrix in packed blocks; null: rows of float32
  std::vector<float> table;       ///< values of a table, else empty
  WeightPadding padding = {};     ///< of a matrix or vector
  bool isAdapter = false;         ///< of adapters: `dims` are those of memory that a session has, padding included

  /// The dimensions with padding.
  std::vector<int64_t> packedDims() const;
};

/// Where a weight lies in the section. Rows are followed by zeros up to the alignment, which `bytes` counts.
struct PackedWeight {
  uint64_t offset; ///< from the start of the section, a multiple of the alignment
  uint64_t bytes;
  const uint8_t *source;              ///< its first row in the checkpoint; null for a table, and for what `made` makes
  bool mapped = true;                 ///< pages of a file, which are given back once read
  bool isStack = false;               ///< tiles of experts, which are one tensor in the checkpoint
  const StoredTensor *made = nullptr; ///< of which rows are made when they are packed
  std::vector<float> scales;          ///< of each stored row, what multiplies its values; or nothing
};

/// The plan of a weights section. Refers to the checkpoint, which must live as long.
struct PackedWeights {
  std::vector<WeightEntry> entries;
  std::vector<PackedWeight> places; ///< one for each entry
  uint64_t bytes = 0;               ///< of the section, with zeros behind the last weight
  uint64_t adapterBytes = 0;        ///< of the memory of adapters, the same
};

/// Lays `entries` out in order, each at a multiple of `alignment` bytes, and so many zeros behind the last. E0220: the
/// checkpoint lacks a tensor. E0818: it has the tensor in another shape or storage type, or the range of rows does not
/// fit the packing. E0221: what multiplies the tensor is no such number.
Result<PackedWeights> planWeights(const Checkpoint &checkpoint, std::vector<WeightEntry> entries, uint64_t alignment);

/// Packs with `jobs` threads (at least 1) and writes the section to `fd` at `fileOffset`; at most a few MiB for each
/// thread are held in memory, and pages of the checkpoint are given back once read. `path` is what messages call the
/// file. `progress` gets bytes written and bytes in all, from any thread but never from two at once. `checksum` becomes
/// the XXH3 of the section. E0903: the disk is full or the file cannot be written.
Status writeWeights(const PackedWeights &plan, const std::string &path, int fd, uint64_t fileOffset, int jobs,
                    const std::function<void(uint64_t done, uint64_t total)> &progress, uint64_t *checksum);

} // namespace stepdown
