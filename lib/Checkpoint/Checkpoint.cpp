#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/Gguf.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include <cinttypes>
#include <cstring>

namespace stepdown {

Result<Checkpoint> Checkpoint::open(const std::string &path, bool metadataOnly) {
  return isFolder(path) ? openFolder(path, metadataOnly) : openGguf(path, metadataOnly);
}

StoredTensor StoredTensor::madeBy(const BlockSource &maker, Storage storage) const {
  const BlockFormat &format = *blockFormat(storage);
  StoredTensor made = *this;
  made.storage = storage;
  made.bytes = rows() * (dims[0] / uint64_t(format.elements)) * uint64_t(format.bytes);
  made.offset = 0;
  made.data = nullptr;
  made.mapped = false;
  made.source = &maker;
  return made;
}

const uint8_t *StoredTensor::read(uint64_t first, uint64_t count, std::vector<uint8_t> &room) const {
  if (data)
    return data + first * rowBytes();
  room.resize(count * rowBytes());
  source->read(first, count, room.data());
  return room.data();
}

const StoredTensor *Checkpoint::tensor(std::string_view name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &infos[it->second];
}

Result<const StoredTensor *> Checkpoint::scaleOf(const StoredTensor &weight) const {
  constexpr std::string_view ending = ".weight";
  const BlockFormat *format = blockFormat(weight.storage);
  const StoredTensor *none = nullptr;
  if (!format || !format->floatScales || weight.name.size() <= ending.size() ||
      weight.name.substr(weight.name.size() - ending.size()) != ending)
    return none;
  const StoredTensor *scale = tensor(std::string(weight.name.substr(0, weight.name.size() - ending.size())) + ".scale");
  if (scale && (scale->storage != Storage::F32 || scale->dims[0] != weight.dims[2] || scale->rows() != 1))
    return fail(ErrorCode::ModelTensorShape,
                "%s: offset %" PRIu64 ": tensor '%s': expects F32 of shape {%" PRIu64 "}, but got type %u, and %" PRIu64
                " rows of %" PRIu64,
                path().c_str(), scale->offset, printable(scale->name).c_str(), weight.dims[2],
                static_cast<unsigned>(scale->storage), scale->rows(), scale->dims[0]);
  return scale;
}

Result<std::vector<float>> Checkpoint::rowScales(const StoredTensor &weight, uint64_t first, uint64_t count) const {
  Result<const StoredTensor *> scale = scaleOf(weight);
  if (!scale)
    return scale.error();
  if (!*scale || !(*scale)->data)
    return std::vector<float>();
  std::vector<float> each((*scale)->dims[0]), rows(count);
  std::memcpy(each.data(), (*scale)->data, each.size() * sizeof(float));
  const uint64_t together = weight.rows() / each.size();
  for (uint64_t r = 0; r < count; ++r)
    rows[r] = each[(first + r) / together];
  return rows;
}

void CheckpointBuilder::setMetadata(std::shared_ptr<const Metadata> metadata, std::string_view pairs) {
  checkpoint.meta = std::move(metadata);
  checkpoint.encoded = pairs;
}

bool CheckpointBuilder::add(const StoredTensor &tensor) {
  if (!checkpoint.byName.emplace(tensor.name, checkpoint.infos.size()).second)
    return false;
  checkpoint.infos.push_back(tensor);
  return true;
}

std::vector<std::string> checkpointFiles(const std::string &path) {
  return isFolder(path) ? folderFiles(path) : shardPaths(path);
}

} // namespace stepdown
