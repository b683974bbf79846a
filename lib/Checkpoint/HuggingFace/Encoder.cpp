#include "lib/Checkpoint/HuggingFace/Encoder.h"
#include "lib/Base/MappedFile.h"
#include "lib/Base/StrictJson.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Config.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/Pooling.h"

#include <iterator>

namespace stepdown {
namespace {

constexpr size_t mostBytes = 1u << 20;
constexpr const char *modulesFile = "modules.json", *poolingFile = "config.json";

/// The JSON of `path`; where it may be missing and is, null.
Result<nlohmann::json> readSmall(const std::string &path, bool needed) {
  Result<bool> there = isThere(path);
  if (!there)
    return there.error();
  if (!*there && !needed)
    return nlohmann::json();
  if (!*there)
    return fail(ErrorCode::FolderFile, "%s: expects it, as modules.json says, but it is missing", path.c_str());
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  if (file->size() > mostBytes)
    return fail(ErrorCode::FolderJson, "%s: expects at most %zu bytes, but got %zu", path.c_str(), mostBytes,
                file->size());
  return parseJson<nlohmann::json>({reinterpret_cast<const char *>(file->data()), file->size()}, path);
}

/// "Pooling" of "sentence_transformers.models.Pooling".
std::string lastName(const std::string &type) { return type.substr(type.rfind('.') + 1); }

/// Whether `module` of modules.json names a folder of this one by its path: a single name.
bool namesSubfolder(const nlohmann::json &module) {
  if (!module.is_object() || !module.contains("path") || !module["path"].is_string())
    return false;
  const std::string &place = module["path"].get_ref<const std::string &>();
  return !place.empty() && place != "." && place != ".." && place.find_first_of(std::string("/\0", 2)) == place.npos;
}

/// The one way that `object` says: a name, or a switch for each.
Result<Pooling> readWay(const JsonObject &object) {
  constexpr struct {
    const char *flag, *name;
    Pooling pooling;
  } ways[] = {{"pooling_mode_mean_tokens", "mean", Pooling::Mean},
              {"pooling_mode_cls_token", "cls", Pooling::First},
              {"pooling_mode_lasttoken", "lasttoken", Pooling::Last},
              {"pooling_mode_max_tokens", "max", Pooling::None},
              {"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::None},
              {"pooling_mode_weightedmean_tokens", "weightedmean", Pooling::None}};
  constexpr const char *expected = "expects one of mean, cls and lasttoken";
  if (object.has("pooling_mode")) {
    Result<std::string> name = object.text("pooling_mode");
    if (!name)
      return name.error();
    for (const auto &way : ways)
      if (*name == way.name && way.pooling != Pooling::None)
        return way.pooling;
    return object.refuse(ErrorCode::EmbeddingPooling, "pooling_mode", expected);
  }
  Pooling found = Pooling::None;
  for (const auto &way : ways) {
    Result<bool> on = object.boolean(way.flag, false);
    if (!on)
      return on.error();
    if (!*on)
      continue;
    if (way.pooling == Pooling::None || found != Pooling::None)
      return object.refuse(ErrorCode::EmbeddingPooling, way.flag,
                           way.pooling == Pooling::None ? expected
                                                        : "expects one way of pooling alone, whose switch is true");
    found = way.pooling;
  }
  return found == Pooling::None
             ? Result<Pooling>(object.refuse(ErrorCode::EmbeddingPooling, "pooling_mode_mean_tokens", expected))
             : found;
}

Result<Pooling> readPoolingFile(const std::string &path, uint64_t width) {
  Result<nlohmann::json> json = readSmall(path, true);
  if (!json)
    return json.error();
  if (!json->is_object())
    return fail(ErrorCode::EmbeddingModules, "%s: expects a JSON object, but got %s", path.c_str(),
                shownJson(*json).c_str());
  const JsonObject object(path, *json, ErrorCode::EmbeddingModules);
  for (const char *name : {"word_embedding_dimension", "embedding_dimension"})
    if (Result<uint64_t> stored = object.count(name, width); !stored || *stored != width)
      return object.refuse(name, "expects hidden_size of config.json, " + std::to_string(width));
  object.skip("include_prompt"); // of instructions before a text, which nobody puts there
  Result<Pooling> way = readWay(object);
  if (way)
    if (Status known = object.everyKeyRead(ErrorCode::EmbeddingModules); !known)
      return known.error();
  return way;
}

} // namespace

Status readEncoderConfig(const JsonObject &config, const FolderFamily &family, PairWriter &pairs) {
  const std::string prefix = std::string(family.architecture) + ".";
  Result<double> epsilon = realWithin(config, "layer_norm_eps", kEpsilons, 1e-12);
  if (!epsilon)
    return epsilon.error();
  Result<std::string> positions = config.text("position_embedding_type", "absolute");
  if (!positions)
    return positions.error();
  if (*positions != "absolute")
    return config.refuse("position_embedding_type", "expects absolute");
  for (const char *name : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    Result<bool> on = config.boolean(name, false);
    if (!on)
      return on.error();
    if (*on)
      return config.refuse(name, "expects false (an encoder)");
  }
  // Segments beyond the first are for pairs of texts; the rest is for training, and for heads that are not read.
  for (const char *name : {"type_vocab_size", "attention_probs_dropout_prob", "hidden_dropout_prob",
                           "classifier_dropout", "gradient_checkpointing", "tie_word_embeddings"})
    config.skip(name);
  pairs.add(prefix + "attention.layer_norm_epsilon", *epsilon);
  pairs.add(prefix + "attention.causal", false);
  return Done{};
}

Status readEncoderModules(const std::string &folder, const FolderFamily &family, uint64_t width, PairWriter &pairs) {
  const std::string path = folder + "/" + modulesFile;
  Result<nlohmann::json> json = readSmall(path, false);
  if (!json)
    return json.error();
  if (json->is_null())
    return Done{};
  auto wrong = [&](const std::string &text) {
    return fail(ErrorCode::EmbeddingModules, "%s: %s", path.c_str(), text.c_str());
  };
  if (!json->is_array() || json->empty())
    return wrong("expects a list of modules, but got " + shownJson(*json));
  const char *order[] = {"Transformer", "Pooling", "Normalize"};
  if (json->size() < 2 || json->size() > std::size(order))
    return wrong("expects Transformer, Pooling and perhaps Normalize, but got " + std::to_string(json->size()) +
                 " modules");
  for (size_t i = 0; i < json->size(); ++i) {
    const nlohmann::json &module = (*json)[i];
    if (!module.is_object() || !module.contains("type") || !module["type"].is_string() || !module.contains("path") ||
        !module["path"].is_string())
      return wrong("module " + std::to_string(i) + ": expects an object with type and path");
    const std::string type = module["type"].get<std::string>(), place = module["path"].get<std::string>();
    if (lastName(type) != order[i])
      return wrong("module " + std::to_string(i) + ": type: expects " + order[i] + ", but got '" + printable(type) +
                   "'");
    if (i == 0 ? !place.empty() : !namesSubfolder(module))
      return wrong("module " + std::to_string(i) + ": path: expects " +
                   (i ? "a folder of this one" : "this folder, ''") + ", but got '" + printable(place) + "'");
    if (i != 1)
      continue;
    Result<Pooling> pooling = readPoolingFile(folder + "/" + place + "/" + poolingFile, width);
    if (!pooling)
      return pooling.error();
    pairs.add(std::string(family.architecture) + ".pooling_type", static_cast<uint64_t>(*pooling));
  }
  pairs.add(std::string(family.architecture) + ".pooling_normalize", json->size() == std::size(order));
  return Done{};
}

std::vector<std::string> encoderFiles(const std::string &folder) {
  std::vector<std::string> files;
  Result<nlohmann::json> json = readSmall(folder + "/" + modulesFile, false);
  if (!json || !json->is_array())
    return files;
  files.push_back(folder + "/" + modulesFile);
  for (const nlohmann::json &module : *json)
    if (namesSubfolder(module))
      files.push_back(folder + "/" + module["path"].get<std::string>() + "/" + poolingFile);
  return files;
}

} // namespace stepdown
