// A folder of PEFT. Its tensors are base_model.model.MODULE.lora_A.weight [r, in], .lora_B.weight [out, r] and, of
// DoRA, .lora_magnitude_vector [out], where MODULE is what the model's own folder calls the linear.
#include "lib/Checkpoint/Adapters/AdapterBuilder.h"
#include "lib/Checkpoint/Adapters/PeftConfig.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/HuggingFace/FolderFamilies.h"
#include "lib/Checkpoint/HuggingFace/Safetensors.h"

#include <cinttypes>

namespace stepdown {
namespace {

constexpr const char *configName = "adapter_config.json", *weightsName = "adapter_model.safetensors";
constexpr size_t mostConfigBytes = 16u << 20;

/// Which part of a linear a tensor is, by the end of its name.
constexpr struct {
  std::string_view ending;
  AdapterPart GatheredAdapter::*part;
} endings[] = {{".lora_A.weight", &GatheredAdapter::a},
               {".lora_B.weight", &GatheredAdapter::b},
               {".lora_magnitude_vector", &GatheredAdapter::magnitudes},
               {".lora_magnitude_vector.weight", &GatheredAdapter::magnitudes}};

class PeftReader {
public:
  PeftReader(const std::string &folder, const Checkpoint &checkpoint, const ModelParameters &parameters)
      : folder(folder), file(folder + "/" + weightsName), checkpoint(checkpoint), parameters(parameters) {}
  Result<Adapter> read();

private:
  Result<MappedFile> open(const char *name) const;
  Status take(const SafeTensor &tensor, const PeftConfig &config);
  Status findRule(const std::string &module, const FolderFamily *&family, std::string &ours) const;

  const std::string folder, file;
  const Checkpoint &checkpoint;
  const ModelParameters &parameters;
  std::map<std::string, GatheredAdapter> linears; // by our name
  const FolderFamily *family = nullptr;           // of the rules that took the tensors
};

Result<MappedFile> PeftReader::open(const char *name) const {
  const std::string path = folder + "/" + name;
  Result<bool> there = isThere(path);
  if (!there)
    return there.error();
  if (!*there) {
    Result<bool> pickled = isThere(folder + "/adapter_model.bin");
    return fail(ErrorCode::AdapterFile, "%s: expects a folder with %s and %s, but %s is missing%s", folder.c_str(),
                configName, weightsName, name,
                pickled && *pickled ? " (weights in PyTorch's own format are programs, which are not read)" : "");
  }
  return MappedFile::copy(path);
}

/// The checkpoint's name of the weight of `module`, by the rules of the first family of its architecture that has one.
Status PeftReader::findRule(const std::string &module, const FolderFamily *&of, std::string &ours) const {
  bool known = false;
  for (const std::string &modelType : folderModelTypes()) {
    const FolderFamily *each = folderFamily(modelType);
    uint64_t layer = 0, expert = 0;
    if (each->architecture != parameters.architecture)
      continue;
    known = true;
    const TensorRule *rule = ruleOf(*each, module + ".weight", layer, expert);
    if (!rule || !rule->ours)
      continue;
    if (rule->kind == TensorRule::Kind::Expert)
      return fail(ErrorCode::AdapterModel,
                  "%s: tensors of '%s': expects a linear that every token has, but got one of "
                  "experts",
                  file.c_str(), printable(module).c_str());
    if (rule->kind != TensorRule::Kind::Plain || rule->plusOne)
      return fail(ErrorCode::AdapterModel, "%s: tensors of '%s': expects a linear that is one here, but it is %s",
                  file.c_str(), printable(module).c_str(), rule->plusOne ? "a norm" : "taken apart or turned");
    of = each;
    ours = numbered(rule->ours, layer);
    return Done{};
  }
  if (!known)
    return fail(
        ErrorCode::AdapterModel,
        "%s: expects a model whose folders are read, since their names are those of its tensors, but folders of "
        "architecture %s are not (make a GGUF adapter of it)",
        file.c_str(), parameters.architecture.c_str());
  return fail(ErrorCode::AdapterTensor, "%s: tensors of '%s': expects a linear of a model of architecture %s",
              file.c_str(), printable(module).c_str(), parameters.architecture.c_str());
}

Status PeftReader::take(const SafeTensor &tensor, const PeftConfig &config) {
  constexpr std::string_view beginning = "base_model.model.";
  const std::string &name = tensor.name;
  for (const auto &[ending, member] : endings) {
    if (name.size() <= beginning.size() + ending.size() || name.compare(0, beginning.size(), beginning) != 0 ||
        name.compare(name.size() - ending.size(), ending.size(), ending) != 0)
      continue;
    const std::string module = name.substr(beginning.size(), name.size() - beginning.size() - ending.size());
    if (!tensor.other.empty())
      return fail(ErrorCode::SafetensorsDtype, "%s: tensor '%s': dtype: expects F32, F16 or BF16, but got %s",
                  file.c_str(), printable(name).c_str(), tensor.other.c_str());
    if (member == &GatheredAdapter::magnitudes && !config.dora())
      return fail(ErrorCode::AdapterTensor, "%s: tensor '%s': expects use_dora in %s to be true, but it is not",
                  file.c_str(), printable(name).c_str(), configName);
    std::string ours;
    if (Status found = findRule(module, family, ours); !found)
      return found;
    if (Status target = config.expectTarget(file, module); !target)
      return target;
    GatheredAdapter &linear = linears[ours];
    AdapterPart &part = linear.*member;
    if (part.data || (!linear.theirs.empty() && linear.theirs != module))
      return fail(ErrorCode::SafetensorsDuplicate, "%s: tensor '%s': expects no other tensor that means the same",
                  file.c_str(), printable(name).c_str());
    linear.theirs = module;
    part = {name, tensor.storage, tensor.shape, tensor.data};
    return Done{};
  }
  return fail(ErrorCode::AdapterTensor,
              "%s: tensor '%s': expects base_model.model. in front of the name of a linear, and lora_A.weight, "
              "lora_B.weight or lora_magnitude_vector behind it",
              file.c_str(), printable(name).c_str());
}

Result<Adapter> PeftReader::read() {
  Result<MappedFile> text = open(configName);
  if (!text)
    return text.error();
  const std::string configPath = folder + "/" + configName;
  if (text->size() > mostConfigBytes)
    return fail(ErrorCode::FolderJson, "%s: expects at most %zu bytes, but got %zu", configPath.c_str(),
                mostConfigBytes, text->size());
  Result<nlohmann::json> json =
      readJsonObject(configPath, {reinterpret_cast<const char *>(text->data()), text->size()});
  if (!json)
    return json.error();
  Result<PeftConfig> config = PeftConfig::read(JsonObject(configPath, *json, ErrorCode::AdapterValue));
  if (!config)
    return config.error();
  Result<MappedFile> weights = open(weightsName);
  if (!weights)
    return weights.error();
  Result<std::vector<SafeTensor>> tensors = readSafetensors(file, weights->data(), weights->size());
  if (!tensors)
    return tensors.error();
  for (const SafeTensor &tensor : *tensors)
    if (Status taken = take(tensor, *config); !taken)
      return taken.error();
  if (linears.empty())
    return fail(ErrorCode::AdapterTensor, "%s: expects tensors, but got none", file.c_str());
  Adapter adapter{folder, {}, {}};
  std::vector<std::string> modules;
  const AdapterBuilder builder(file, checkpoint, parameters,
                               family->adjacent ? RopePairs::Adjacent : RopePairs::Halves);
  for (const auto &[ours, gathered] : linears) {
    Result<AdaptedLinear> linear = builder.build(ours, gathered);
    if (!linear)
      return linear.error();
    if (linear->rank != config->rank(gathered.theirs))
      return fail(ErrorCode::AdapterShape,
                  "%s: tensors of '%s': expects rank %" PRIu64 ", as %s says, but got %" PRIu64, file.c_str(),
                  printable(gathered.theirs).c_str(), config->rank(gathered.theirs), configName, linear->rank);
    if (config->dora() && linear->magnitudes.empty())
      return fail(ErrorCode::AdapterTensor,
                  "%s: tensors of '%s': expects lora_magnitude_vector, since use_dora is true", file.c_str(),
                  printable(gathered.theirs).c_str());
    linear->scale = config->scale(gathered.theirs);
    modules.push_back(gathered.theirs);
    adapter.linears.push_back(std::move(*linear));
  }
  if (Status all = config->everyTargetIn(modules, file); !all)
    return all.error();
  adapter.files.push_back(std::move(*text));
  adapter.files.push_back(std::move(*weights));
  return adapter;
}

} // namespace

Result<Adapter> openPeftAdapter(const std::string &path, const Checkpoint &checkpoint,
                                const ModelParameters &parameters) {
  return PeftReader(path, checkpoint, parameters).read();
}

} // namespace stepdown
