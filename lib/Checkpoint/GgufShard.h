// One GGUF file of a checkpoint, read from a bounded span. openGguf joins the shards of a split model.
#pragma once
#include "lib/Checkpoint/ByteCursor.h"
#include "lib/Checkpoint/Gguf.h"

namespace stepdown {

struct GgufShard {
  std::shared_ptr<Metadata> meta;
  std::vector<StoredTensor> tensors;
  uint64_t pairsBegin = 0, pairsEnd = 0, pairs = 0;
};

/// Reads and checks one GGUF file that lies in `span` [size]; `file` is for messages. The result points into `span`.
Result<GgufShard> readShard(const std::string &file, const uint8_t *span, size_t size, bool metadataOnly);

/// Reads `count` tensor infos at `cursor` and, unless `metadataOnly`, checks their data against the span.
Result<std::vector<StoredTensor>> readTensorInfos(const std::string &file, ByteCursor &cursor, uint64_t count,
                                                  uint64_t alignment, bool metadataOnly);

/// Opens the shards 2..n of the split model whose first shard is `first` at `path`, adding their files to
/// `builder` and their tensors to `tensors`. Does nothing for a model in one file.
Status readOtherShards(const std::string &path, const Metadata &first, CheckpointBuilder &builder,
                       std::vector<StoredTensor> &tensors);

/// Text from a file as it may appear in a message: printable ASCII, other bytes as \xHH, at most 80 bytes.
std::string printable(std::string_view text);

/// "u32", "string" ... for messages; null for an id that GGUF does not have.
const char *ggufValueTypeName(uint32_t id);
/// Bytes of one scalar; 0 for strings, arrays and unknown ids.
size_t ggufValueBytes(uint32_t id);

} // namespace stepdown
