// Split models: NAME-00001-of-00003.gguf and its siblings, each a complete GGUF. The first holds the metadata.
#include "lib/Checkpoint/GgufShard.h"

#include <cinttypes>
#include <cstdlib>
#include <unistd.h>

namespace stepdown {
namespace {

constexpr uint64_t mostShards = 99999; // the name has five digits

/// "-00002-of-00003.gguf"
std::string suffix(uint64_t shard, uint64_t count) {
  char text[48];
  std::snprintf(text, sizeof text, "-%05" PRIu64 "-of-%05" PRIu64 ".gguf", shard + 1, count);
  return text;
}

/// split.count and split.no of one shard against what they must be.
Status checkShard(const std::string &path, const Metadata &meta, uint64_t number, uint64_t count) {
  Result<uint64_t> no = meta.unsignedInteger("split.no");
  if (!no)
    return no.error();
  if (*no != number)
    return fail(ErrorCode::GgufSplitNumber, "%s: offset %" PRIu64 ": split.no: expects %" PRIu64 "%s, but got %" PRIu64,
                path.c_str(), meta.find("split.no")->offset, number,
                number == 0 ? " (a split model is opened through its first shard)" : "", *no);
  Result<uint64_t> of = meta.unsignedInteger("split.count");
  if (!of)
    return of.error();
  if (*of != count)
    return fail(ErrorCode::GgufSplitCount, "%s: offset %" PRIu64 ": split.count: expects %" PRIu64 ", but got %" PRIu64,
                path.c_str(), meta.find("split.count")->offset, count, *of);
  return Done{};
}

} // namespace

std::vector<std::string> shardPaths(const std::string &path) {
  std::vector<std::string> paths = {path};
  const size_t tail = suffix(0, 2).size();
  if (path.size() < tail)
    return paths;
  const std::string stem = path.substr(0, path.size() - tail);
  // The five digits before ".gguf"; what else may stand there does not make the same suffix again.
  const uint64_t count = std::strtoull(path.c_str() + path.size() - 10, nullptr, 10);
  if (count > mostShards || path != stem + suffix(0, count))
    return paths;
  for (uint64_t i = 1; i < count; ++i)
    paths.push_back(stem + suffix(i, count));
  return paths;
}

Status readOtherShards(const std::string &path, const Metadata &first, CheckpointBuilder &builder,
                       std::vector<StoredTensor> &tensors) {
  if (!first.has("split.count"))
    return Done{};
  Result<uint64_t> count = first.unsignedInteger("split.count");
  if (!count)
    return count.error();
  if (*count > mostShards)
    return fail(ErrorCode::GgufSplitCount,
                "%s: offset %" PRIu64 ": split.count: expects at most %" PRIu64 ", but got %" PRIu64, path.c_str(),
                first.find("split.count")->offset, mostShards, *count);
  if (*count <= 1)
    return Done{};
  if (Status ok = checkShard(path, first, 0, *count); !ok)
    return ok;
  const std::vector<std::string> names = shardPaths(path);
  if (names.size() != *count)
    return fail(ErrorCode::GgufSplitName, "%s: name: expects the first of %" PRIu64 " shards to end in %s",
                path.c_str(), *count, suffix(0, *count).c_str());
  for (uint64_t i = 1; i < *count; ++i) {
    const std::string &name = names[i];
    if (access(name.c_str(), F_OK) != 0)
      return fail(ErrorCode::GgufSplitMissing, "%s: split.count: expects %" PRIu64 " shards, but %s is missing",
                  path.c_str(), *count, name.c_str());
    Result<MappedFile> file = MappedFile::open(name);
    if (!file)
      return file.error();
    Result<GgufShard> shard = readShard(name, file->data(), file->size(), false);
    if (!shard)
      return shard.error();
    if (Status ok = checkShard(name, *shard->meta, i, *count); !ok)
      return ok;
    tensors.insert(tensors.end(), shard->tensors.begin(), shard->tensors.end());
    builder.add(std::move(*file));
  }
  if (first.has("split.tensors.count")) {
    Result<uint64_t> total = first.unsignedInteger("split.tensors.count");
    if (!total)
      return total.error();
    if (*total != tensors.size())
      return fail(ErrorCode::GgufSplitTensorCount,
                  "%s: offset %" PRIu64
                  ": split.tensors.count: expects %zu, as many as all shards hold, but got %" PRIu64,
                  path.c_str(), first.find("split.tensors.count")->offset, tensors.size(), *total);
  }
  return Done{};
}

} // namespace stepdown
