#include "lib/Checkpoint/HuggingFace/FolderWeights.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/HuggingFace/GatheredTensors.h"
#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include "lib/Checkpoint/HuggingFace/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>

namespace stepdown {
namespace {

constexpr const char *oneFile = "model.safetensors", *indexFile = "model.safetensors.index.json";
constexpr const char *headName = "output.weight";
constexpr size_t mostIndexBytes = 64u << 20;

class WeightReader {
public:
  WeightReader(const std::string &folder, const FolderConfig &config, CheckpointBuilder &builder)
      : folder(folder), config(config), builder(builder), gathered(config, builder) {}
  Status read();

private:
  Status readIndex();
  Status readFile(const std::string &name);
  Status take(const std::string &file, const SafeTensor &tensor);
  void isUnknown(const std::string &name);
  bool saysBias(std::string_view ours) const;
  bool isLeftBias(const SafeTensor &tensor, const std::string &stem, const TensorRule *rule) const;
  Status checkIndex() const;
  std::string theirs(const char *ours) const;
  Status checkHead() const;
  Status checkBiases() const;
  const uint8_t *withOne(const SafeTensor &tensor);

  const std::string &folder;
  const FolderConfig &config;
  CheckpointBuilder &builder;
  GatheredTensors gathered;
  std::map<std::string, std::string> shardOf; // tensor -> file, as the index says
  std::map<std::string, std::string> foundIn; // tensor -> file
  std::set<std::string> ourNames;             // of tensors that are one here
  std::shared_ptr<std::deque<std::string>> names = std::make_shared<std::deque<std::string>>();
  std::string unknown; // the first names that no rule takes
  size_t unknownCount = 0;
  std::optional<StoredTensor> tiedHead;
};

/// weight_map: which file holds which tensor.
Status WeightReader::readIndex() {
  const std::string path = folder + "/" + indexFile;
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  if (file->size() > mostIndexBytes)
    return fail(ErrorCode::FolderJson, "%s: expects at most %zu bytes, but got %zu", path.c_str(), mostIndexBytes,
                file->size());
  Result<nlohmann::json> text = readJsonObject(path, {reinterpret_cast<const char *>(file->data()), file->size()});
  if (!text)
    return text.error();
  const JsonObject index(path, *text, ErrorCode::SafetensorsIndex);
  Result<JsonObject> map = index.object("weight_map");
  if (!map)
    return map.error();
  for (const auto &[tensor, shard] : map->value().items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    const std::string_view ending = ".safetensors";
    // Files of this folder alone, whoever wrote the index.
    if (name.size() <= ending.size() || name.compare(name.size() - ending.size(), ending.size(), ending) != 0 ||
        name.find('/') != name.npos || name.find('\0') != name.npos)
      return map->refuse(tensor.c_str(), "expects the name of a .safetensors file beside the index");
    shardOf.emplace(tensor, name);
  }
  if (shardOf.empty())
    return index.refuse("weight_map", "expects a tensor");
  builder.add(std::move(*file));
  return Done{};
}

/// A copy of a norm's weight with 1 added, as float32.
const uint8_t *WeightReader::withOne(const SafeTensor &tensor) {
  const BlockFormat &format = *blockFormat(tensor.storage);
  auto values = std::make_shared<std::vector<float>>(tensor.shape[0]);
  decode(format, tensor.data, values->size(), values->data());
  for (float &value : *values)
    value += 1;
  builder.keep(values);
  return reinterpret_cast<const uint8_t *>(values->data());
}

/// Whether config.json says that the linear of a bias called `ours` has one.
bool WeightReader::saysBias(std::string_view ours) const {
  const bool mlp = ours.find("ffn_") != ours.npos, output = ours.find("attn_output") != ours.npos;
  return mlp ? config.mlpBias : output ? config.outputBias : config.inputBias;
}

/// Whether `tensor` is a bias of zeros, as AutoGPTQ wrote for linears and experts that have none.
bool WeightReader::isLeftBias(const SafeTensor &tensor, const std::string &stem, const TensorRule *rule) const {
  if (config.quantization.form != FolderQuantization::Form::Gptq || stem + ".bias" != tensor.name)
    return false;
  uint64_t layer, expert;
  const TensorRule *weight = ruleOf(*config.family, stem + ".weight", layer, expert);
  return (rule ? rule->ours && !saysBias(rule->ours) : weight && weight->kind == TensorRule::Kind::Expert) &&
         std::all_of(tensor.data, tensor.data + tensor.bytes, [](uint8_t byte) { return byte == 0; });
}

void WeightReader::isUnknown(const std::string &name) {
  constexpr size_t named = 5;
  if (++unknownCount <= named)
    unknown += (unknown.empty() ? "'" : ", '") + printable(name) + "'";
  else if (unknownCount == named + 1)
    unknown += ", ...";
}

/// Adds `tensor` under our name.
Status WeightReader::take(const std::string &file, const SafeTensor &tensor) {
  if (const auto [before, isNew] = foundIn.emplace(tensor.name, file); !isNew)
    return fail(ErrorCode::SafetensorsDuplicate, "%s: tensor '%s': expects one file that holds it, but %s does too",
                file.c_str(), printable(tensor.name).c_str(), before->second.c_str());
  uint64_t layer = 0, expert = 0;
  std::string role = roleOf(config.quantization, tensor);
  const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
  using Kind = TensorRule::Kind;
  if (!role.empty())
    if (const TensorRule *rule = ruleOf(*config.family, stem + ".weight", layer, expert); rule && rule->ours) {
      if (rule->kind == Kind::Transposed || rule->kind == Kind::Groups || rule->kind == Kind::Halves)
        return fail(ErrorCode::FolderQuantization,
                    "%s: tensor '%s': expects floats where model_type is %s, but got %s of a quantised weight",
                    file.c_str(), printable(tensor.name).c_str(), config.family->modelType, role.c_str());
      if (std::string_view(rule->ours).find("norm") != std::string_view::npos)
        return fail(ErrorCode::QuantTensorShape,
                    "%s: tensor '%s': expects a norm of F32, F16 or BF16, but got %s of it", file.c_str(),
                    printable(tensor.name).c_str(), role.c_str());
      gathered.add(*rule, numbered(rule->ours, layer), expert, role, file, tensor);
      return Done{};
    }
  if (config.quantization.form != FolderQuantization::Form::None && scalesActivations(tensor.name) &&
      ruleOf(*config.family, stem + ".weight", layer, expert))
    return Done{};
  const TensorRule *rule = ruleOf(*config.family, tensor.name, layer, expert);
  if (rule && (rule->kind == Kind::Blocks || rule->kind == Kind::Scales)) {
    if (config.quantization.form != FolderQuantization::Form::Mxfp4)
      return fail(
          ErrorCode::FolderQuantization,
          "%s: tensor '%s': expects quant_method mxfp4 in quantization_config of config.json, but it has another "
          "or none",
          file.c_str(), printable(tensor.name).c_str());
    gathered.add(*rule, numbered(rule->ours, layer), 0, rule->kind == Kind::Blocks ? "blocks" : "scales", file, tensor);
    return Done{};
  }
  if (!tensor.other.empty() && (!rule || rule->ours))
    return fail(ErrorCode::SafetensorsDtype, "%s: tensor '%s': dtype: expects F32, F16 or BF16, but got %s",
                file.c_str(), printable(tensor.name).c_str(), tensor.other.c_str());
  if (isLeftBias(tensor, stem, rule))
    return Done{};
  if (!rule) {
    isUnknown(tensor.name);
    return Done{};
  }
  // Of names that a family has in two forms a file has one.
  if (rule->ours && rule->kind != Kind::Expert && !ourNames.insert(numbered(rule->ours, layer)).second)
    return fail(ErrorCode::SafetensorsDuplicate,
                "%s: tensor '%s': expects no other tensor that is %s here, but got one", file.c_str(),
                printable(tensor.name).c_str(), numbered(rule->ours, layer).c_str());
  if (rule->kind == Kind::Expert || rule->kind == Kind::Pair || rule->kind == Kind::Transposed ||
      rule->kind == Kind::Groups || rule->kind == Kind::Halves) {
    gathered.add(*rule, numbered(rule->ours, layer), expert, rule->kind == Kind::Pair ? "bias" : "weight", file,
                 tensor);
    return Done{};
  }
  if (!rule->ours)
    return Done{};
  if (tensor.shape.size() > 4)
    return fail(ErrorCode::SafetensorsShape, "%s: tensor '%s': shape: expects at most 4 dimensions, but got %zu",
                file.c_str(), printable(tensor.name).c_str(), tensor.shape.size());
  names->push_back(numbered(rule->ours, layer));
  StoredTensor stored{names->back(), tensor.storage, 1, {1, 1, 1, 1}, tensor.offset, tensor.bytes, tensor.data, true};
  stored.rank = std::max<int>(1, static_cast<int>(tensor.shape.size()));
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    stored.dims[tensor.shape.size() - 1 - i] = tensor.shape[i];
  if (rule->plusOne) { // once a weight: the file holds each element of it
    if (tensor.shape.size() != 1)
      return fail(ErrorCode::SafetensorsShape, "%s: tensor '%s': shape: expects one dimension, but got %zu",
                  file.c_str(), printable(tensor.name).c_str(), tensor.shape.size());
    stored.data = withOne(tensor);
    stored.storage = Storage::F32;
    stored.bytes = tensor.shape[0] * sizeof(float);
    stored.mapped = false;
  }
  if (config.tied && stored.name == headName)
    tiedHead = stored; // a copy of the embedding, as checkHead sees to
  else
    builder.add(stored);
  return Done{};
}

Status WeightReader::readFile(const std::string &name) {
  const std::string path = folder + "/" + name;
  Result<bool> there = isThere(path);
  if (!there)
    return there.error();
  if (!*there)
    return fail(ErrorCode::SafetensorsIndex, "%s/%s: expects the files that it names, but %s is missing",
                folder.c_str(), indexFile, name.c_str());
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  Result<std::vector<SafeTensor>> tensors = readSafetensors(path, file->data(), file->size());
  if (!tensors)
    return tensors.error();
  builder.add(std::move(*file));
  for (const SafeTensor &tensor : *tensors)
    if (Status taken = take(path, tensor); !taken)
      return taken;
  return Done{};
}

/// Every tensor lies where the index says, and the index says every tensor.
Status WeightReader::checkIndex() const {
  for (const auto &[tensor, shard] : shardOf) {
    const auto found = foundIn.find(tensor);
    if (found == foundIn.end() || found->second != folder + "/" + shard)
      return fail(ErrorCode::SafetensorsIndex, "%s/%s: tensor '%s': expects it in %s, but it is %s", folder.c_str(),
                  indexFile, printable(tensor).c_str(), shard.c_str(),
                  found == foundIn.end() ? "missing" : ("in " + found->second).c_str());
  }
  for (const auto &[tensor, file] : foundIn)
    if (!shardOf.empty() && !shardOf.count(tensor))
      return fail(ErrorCode::SafetensorsIndex, "%s: tensor '%s': expects it in %s, but it is missing there",
                  file.c_str(), printable(tensor).c_str(), indexFile);
  return Done{};
}

/// What files of this family call the tensor `ours`.
std::string WeightReader::theirs(const char *ours) const {
  for (size_t i = 0; i < config.family->ruleCount; ++i)
    if (const TensorRule &rule = config.family->rules[i]; rule.ours && std::string_view(rule.ours) == ours)
      return rule.theirs;
  return ours;
}

/// tie_word_embeddings against the head.
Status WeightReader::checkHead() const {
  const StoredTensor *rows = builder.soFar().tensor("token_embd.weight");
  if (config.tied && builder.soFar().tensor(headName)) // in a form of its own, so no copy
    return fail(ErrorCode::ConfigContradiction,
                "%s/config.json: key 'tie_word_embeddings': expects false where %s is quantised, but it is true",
                folder.c_str(), theirs(headName).c_str());
  if (!config.tied && !builder.soFar().tensor(headName))
    return fail(ErrorCode::ConfigContradiction,
                "%s/config.json: key 'tie_word_embeddings': expects true where there is no %s, but it is false",
                folder.c_str(), theirs(headName).c_str());
  // A copy of the embedding is one head like the other, and is left out.
  if (tiedHead && rows &&
      (!std::equal(tiedHead->dims, tiedHead->dims + 4, rows->dims) || tiedHead->storage != rows->storage ||
       std::memcmp(tiedHead->data, rows->data, static_cast<size_t>(rows->bytes)) != 0))
    return fail(
        ErrorCode::ConfigContradiction,
        "%s/config.json: key 'tie_word_embeddings': expects false where %s is another tensor than %s, but it is "
        "true",
        folder.c_str(), theirs(headName).c_str(), theirs("token_embd.weight").c_str());
  return Done{};
}

/// The biases that the model has against the tensors: transformers leaves others in the file alone.
Status WeightReader::checkBiases() const {
  for (size_t i = 0; i < config.family->ruleCount; ++i) {
    const TensorRule &rule = config.family->rules[i];
    const std::string_view ours = rule.ours ? rule.ours : "", ending = ".bias";
    // Two here, which the family needs; of a norm, which it does or does not need.
    if (rule.kind == TensorRule::Kind::Pair || ours.find("norm") != ours.npos)
      continue;
    if (ours.size() < ending.size() || ours.substr(ours.size() - ending.size()) != ending)
      continue;
    const bool mlp = ours.find("ffn_") != ours.npos, says = saysBias(ours);
    const bool input = !mlp && ours.find("attn_output") == ours.npos && config.family->inputBiasKey;
    const char *key = mlp     ? config.family->mlpBiasKey
                      : input ? config.family->inputBiasKey
                              : config.family->attentionBiasKey;
    for (uint64_t layer = 0; layer < config.layers; ++layer) {
      if ((builder.soFar().tensor(numbered(rule.ours, layer)) != nullptr) == says)
        continue;
      return fail(ErrorCode::ConfigContradiction, "%s/config.json: %s '%s': expects %s%s, but it is %s", folder.c_str(),
                  key ? "key" : "model_type", key ? key : config.family->modelType, says ? "" : "no ",
                  numbered(rule.theirs, layer).c_str(), says ? "missing" : "there");
    }
  }
  return Done{};
}

Status WeightReader::read() {
  bool there[4]; // PyTorch's own last, whose presence changes the message alone
  const char *places[] = {oneFile, indexFile, "pytorch_model.bin", "pytorch_model.bin.index.json"};
  for (size_t i = 0; i < std::size(places); ++i) {
    Result<bool> found = isThere(folder + "/" + places[i]);
    if (!found)
      return found.error();
    there[i] = *found;
  }
  const bool one = there[0], several = there[1];
  if (!one && !several)
    return fail(ErrorCode::FolderFile, "%s: expects %s or %s, but neither is there%s", folder.c_str(), oneFile,
                indexFile,
                there[2] || there[3] ? " (weights in PyTorch's own format are programs, which are not read)" : "");
  if (several)
    if (Status index = readIndex(); !index)
      return index;
  std::set<std::string> files;
  for (const auto &[tensor, shard] : shardOf)
    files.insert(shard);
  if (one)
    files.insert(oneFile);
  if (one && several && files.size() > 1) // an index of the one file says nothing else
    return fail(ErrorCode::FolderFile, "%s: expects %s or %s, but both are there, and the index names other files",
                folder.c_str(), oneFile, indexFile);
  for (const std::string &file : files)
    if (Status read = readFile(file); !read)
      return read;
  if (unknownCount)
    return fail(ErrorCode::FolderTensorName, "%s: expects tensors of model_type %s, but got %zu that no rule takes: %s",
                folder.c_str(), config.family->modelType, unknownCount, unknown.c_str());
  if (Status made = gathered.finish(*names); !made)
    return made;
  builder.keep(names);
  for (Status (WeightReader::*check)() const :
       {&WeightReader::checkIndex, &WeightReader::checkHead, &WeightReader::checkBiases})
    if (Status status = (this->*check)(); !status)
      return status;
  return Done{};
}

} // namespace

Status readFolderWeights(const std::string &folder, const FolderConfig &config, CheckpointBuilder &builder) {
  if (Status read = WeightReader(folder, config, builder).read(); !read)
    return read;
  for (const MadeVector &vector : config.made) {
    auto kept = std::make_shared<MadeVector>(vector);
    StoredTensor stored{kept->name, Storage::F32, 1, {kept->values.size(), 1, 1, 1}, 0, 0, nullptr, false};
    stored.bytes = kept->values.size() * sizeof(float);
    stored.data = reinterpret_cast<const uint8_t *>(kept->values.data());
    builder.keep(kept);
    builder.add(stored);
  }
  return Done{};
}

} // namespace stepdown
