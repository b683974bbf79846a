#include "lib/Checkpoint/Checkpoint.h"
#include "lib/Checkpoint/Gguf.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include <cstring>

namespace stepdown {

Result<Checkpoint> Checkpoint::open(const std::string &path, bool metadataOnly) {
  return isFolder(path) ? openFolder(path, metadataOnly) : openGguf(path, metadataOnly);
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

const StoredTensor *Checkpoint::scaleOf(const StoredTensor &weight) const {
  constexpr std::string_view ending = ".weight";
  const BlockFormat *format = blockFormat(weight.storage);
  if (!format || !format->floatScales || weight.name.size() <= ending.size() ||
      weight.name.substr(weight.name.size() - ending.size()) != ending)
    return nullptr;
  return tensor(std::string(weight.name.substr(0, weight.name.size() - ending.size())) + ".scale");
}

std::vector<float> Checkpoint::rowScales(const StoredTensor &weight, uint64_t first, uint64_t count) const {
  const StoredTensor *scale = scaleOf(weight);
  if (!scale || !scale->data)
    return {};
  std::vector<float> each(scale->dims[0]), rows(count);
  std::memcpy(each.data(), scale->data, each.size() * sizeof(float));
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
