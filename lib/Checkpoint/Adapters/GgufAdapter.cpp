// An adapter as llama.cpp's convert_lora_to_gguf.py writes it: adapter.type, adapter.lora.alpha, and of each linear
// NAME.lora_a {in, rank} and NAME.lora_b {rank, out}. As llama.cpp has it, s is alpha / rank, or 1 where alpha is 0.
#include "lib/Checkpoint/Adapters/AdapterBuilder.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/KeyReader.h"

#include <cmath>

namespace stepdown {
namespace {

/// A key that says how weights are used, where anything but `expected` is another adapter than those read here.
Status expectText(const Metadata &meta, const char *key, ErrorCode code, const std::string &expected,
                  const char *hint) {
  Result<std::string_view> value = meta.string(key);
  if (!value)
    return code == ErrorCode::AdapterFile && !meta.has(key)
               ? fail(code, "%s: key '%s': expects '%s', but it is missing%s", meta.file().c_str(), key,
                      expected.c_str(), hint)
               : value.error();
  if (*value != expected)
    return fail(code, "%s: key '%s': expects '%s', but got '%s'%s", meta.file().c_str(), key, expected.c_str(),
                printable(*value).c_str(), hint);
  return Done{};
}

/// Keys that change nothing, which say what the file is or how it came to be.
bool isNote(std::string_view key) {
  return key.substr(0, 8) == "general." || key == "adapter.lora.task_name" || key == "adapter.lora.prompt_prefix";
}

bool cutEnding(std::string &text, std::string_view ending) {
  if (text.size() <= ending.size() || text.compare(text.size() - ending.size(), ending.size(), ending) != 0)
    return false;
  text.resize(text.size() - ending.size());
  return true;
}

} // namespace

Result<Adapter> openGgufAdapter(const std::string &path, const Checkpoint &checkpoint,
                                const ModelParameters &parameters) {
  Result<MappedFile> file = MappedFile::copy(path);
  if (!file)
    return file.error();
  Result<GgufShard> shard = readShard(path, file->data(), file->size(), false);
  if (!shard)
    return shard.error().code == ErrorCode::GgufMagic
               ? fail(ErrorCode::GgufMagic, "%s; of an adapter of PEFT name the folder", shard.error().message.c_str())
               : shard.error();
  const Metadata &meta = *shard->meta;
  if (Status is = expectText(meta, "general.type", ErrorCode::AdapterFile, "adapter", " (a model?)"); !is)
    return is.error();
  if (Status is = expectText(meta, "general.architecture", ErrorCode::AdapterModel, parameters.architecture,
                             ", which the model is");
      !is)
    return is.error();
  if (Status is = expectText(meta, "adapter.type", ErrorCode::AdapterValue, "lora", ""); !is)
    return is.error();
  Result<double> alpha = meta.real("adapter.lora.alpha");
  if (!alpha)
    return alpha.error();
  if (*alpha != 0 && !kAnyPositive.holds(*alpha))
    return fail(ErrorCode::AdapterValue, "%s: key 'adapter.lora.alpha': expects %s, but got %g", path.c_str(),
                kAnyPositiveOrNone.text().c_str(), *alpha);
  for (std::string_view key : meta.keys())
    if (!isNote(key) && key != "adapter.type" && key != "adapter.lora.alpha")
      return fail(ErrorCode::AdapterValue, "%s: key '%s': expects no such key, whose meaning is not known here",
                  path.c_str(), printable(key).c_str());

  std::map<std::string, GatheredAdapter> linears;
  for (const StoredTensor &tensor : shard->tensors) {
    std::string ours(tensor.name);
    const bool isA = cutEnding(ours, ".lora_a"), isB = !isA && cutEnding(ours, ".lora_b");
    if (!isA && !isB)
      return fail(ErrorCode::AdapterTensor, "%s: tensor '%s': expects a name that ends in .lora_a or .lora_b",
                  path.c_str(), printable(tensor.name).c_str());
    AdapterPart part{std::string(tensor.name), tensor.storage, {}, tensor.data};
    for (int d = tensor.rank; d-- > 0;)
      part.shape.push_back(tensor.dims[d]);
    GatheredAdapter &linear = linears[ours];
    linear.theirs = ours;
    (isA ? linear.a : linear.b) = std::move(part);
  }
  if (linears.empty())
    return fail(ErrorCode::AdapterTensor, "%s: expects tensors, but got none", path.c_str());
  Adapter adapter{path, {}, {}};
  const AdapterBuilder builder(path, checkpoint, parameters, parameters.family->pairs);
  for (const auto &[ours, gathered] : linears) {
    Result<AdaptedLinear> linear = builder.build(ours, gathered);
    if (!linear)
      return linear.error();
    linear->scale = *alpha == 0 ? 1 : *alpha / static_cast<double>(linear->rank);
    adapter.linears.push_back(std::move(*linear));
  }
  adapter.files.push_back(std::move(*file));
  return adapter;
}

} // namespace stepdown
