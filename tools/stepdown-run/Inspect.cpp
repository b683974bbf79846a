#include "include/stepdown/CacheDims.h"
#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/ModelParameters.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Npy.h"
#include "runtime/Session/Session.h"
#include "runtime/Session/SessionBytes.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"
#include <nlohmann/json.hpp>

namespace stepdown::run {
namespace {

using nlohmann::ordered_json;

/// Arrays longer than this are told by type and length.
constexpr uint64_t shownElements = 16;

ordered_json valueOf(const Metadata &metadata, std::string_view key) {
  const GgufValue &value = *metadata.find(key);
  switch (value.type) {
  case GgufType::String:
    return std::string(reinterpret_cast<const char *>(value.bytes), value.count);
  case GgufType::Bool:
    return *metadata.boolean(key);
  case GgufType::F32:
  case GgufType::F64:
    return *metadata.real(key);
  case GgufType::U64:
    if (auto number = metadata.unsignedInteger(key))
      return *number;
    return nullptr;
  case GgufType::Array:
    break;
  default:
    if (auto number = metadata.integer(key))
      return *number;
    return nullptr;
  }
  if (value.count <= shownElements) {
    if (auto list = metadata.strings(key))
      return std::vector<std::string>(list->begin(), list->end());
    if (auto list = metadata.reals(key))
      return *list;
    if (auto list = metadata.integers(key))
      return *list;
  }
  return {{"array_of", value.count}};
}

ordered_json metadataOf(const Metadata &metadata) {
  ordered_json object = ordered_json::object();
  for (std::string_view key : metadata.keys())
    object[std::string(key)] = valueOf(metadata, key);
  return object;
}

/// How many experts every layer has and a token uses, and how many numbers of all weights that makes.
ordered_json expertsOf(const Checkpoint &checkpoint, const ModelParameters &model) {
  uint64_t all = 0, active = 0;
  for (const StoredTensor &tensor : checkpoint.tensors()) {
    uint64_t count = 1;
    for (int d = 0; d < tensor.rank; ++d)
      count *= tensor.dims[d];
    all += count;
    active += tensor.rank == 3 ? count / model.experts * model.expertsUsed : count; // a stack of experts
  }
  return {{"count", model.experts}, {"used", model.expertsUsed}, {"parameters", all}, {"active_parameters", active}};
}

/// `runs`: what keeps it from being compiled.
ordered_json describe(const Checkpoint &checkpoint, const Status &runs) {
  ordered_json tensors = ordered_json::array();
  uint64_t bytes = 0;
  for (const StoredTensor &tensor : checkpoint.tensors()) {
    const BlockFormat *format = blockFormat(tensor.storage);
    std::vector<uint64_t> shape(tensor.dims, tensor.dims + tensor.rank);
    std::reverse(shape.begin(), shape.end());
    tensors.push_back({{"name", std::string(tensor.name)},
                       {"type", format ? format->name : "unknown"},
                       {"shape", shape},
                       {"bytes", tensor.bytes}});
    bytes += tensor.bytes;
  }
  ordered_json description = {{"kind", "checkpoint"}, {"runs", bool(runs)}};
  if (!runs)
    description["refusal"] = runs.error().text();
  if (runs)
    if (auto model = readParameters(checkpoint); model && model->experts)
      description["experts"] = expertsOf(checkpoint, *model);
  description["metadata"] = metadataOf(checkpoint.metadata());
  description["tensor_bytes"] = bytes;
  description["tensors"] = tensors;
  return description;
}

ordered_json describeTargets(const ArtifactFile &artifact) {
  ordered_json described = ordered_json::array();
  const std::vector<FileTarget> &targets = artifact.targets();
  for (const FileTarget &target : targets) {
    ordered_json shared = {
        {"target", target.name}, {"alignment", target.alignment}, {"table_bytes", target.tableBytes}};
    if (!artifact.holdsFunctions()) {
      shared["weight_bytes"] = target.endOfWeights - target.firstWeight;
      // What a session of no options takes of the device beside them, of both programs where there are adapters.
      if (auto shape = Session::shapeOf(target.program, {}); shape && !target.isAdapted()) {
        // A driver takes operands from the host's memory.
        const bool reads = target.name == "cpu" || target.name.rfind("emulated:", 0) == 0;
        const auto adapted = std::find_if(targets.begin(), targets.end(), [&](const FileTarget &other) {
          return other.isAdapted() && other.plainName() == target.name;
        });
        const SessionBytes bytes = sessionBytes(target.program, target.alignment, *shape, reads,
                                                adapted == targets.end() ? nullptr : &*adapted);
        shared["session_bytes"] = {
            {"positions", shape->positions},    {"sequences", shape->sequences}, {"inputs", bytes.inputs},
            {"activations", bytes.activations}, {"logits", bytes.logits},        {"operands", bytes.operands},
            {"keys_and_values", bytes.cache},   {"block_tables", bytes.tables},  {"uploads", bytes.uploads},
            {"adapters", bytes.adapters},       {"total", bytes.total()}};
      }
    }
    for (size_t i = 0; i < target.code.size(); ++i) {
      ordered_json code = shared;
      code["isa"] = target.level(i);
      code["code_bytes"] = target.code[i].size;
      code["runs_here"] = runsHere(target.plainName().c_str(), target.code[i].level);
      described.push_back(std::move(code));
    }
  }
  return described;
}

ordered_json describeProvenance(const ArtifactFile &artifact) {
  ordered_json provenance = ordered_json::parse(artifact.provenance(), nullptr, false);
  return provenance.is_discarded() ? ordered_json(std::string(artifact.provenance())) : provenance;
}

/// The functions of a plain module, with the type and shape of every argument and result.
ordered_json describeFunctions(const ArtifactFile &artifact) {
  const FunctionTable &table = artifact.targets().front().functions;
  ordered_json functions = ordered_json::array();
  for (const stepdown_function &f : table.functions) {
    ordered_json arguments = ordered_json::array(), results = ordered_json::array();
    for (uint32_t i = 0; i < f.argument_count + f.result_count; ++i)
      (i < f.argument_count ? arguments : results).push_back(describe(arrayOf(table.values[f.first_value + i])));
    functions.push_back({{"name", table.string(f.name)}, {"arguments", arguments}, {"results", results}});
  }
  return {{"kind", "functions"},
          {"abi_version", artifact.header().abi_version},
          {"targets", describeTargets(artifact)},
          {"functions", functions},
          {"provenance", describeProvenance(artifact)}};
}

Result<ordered_json> describe(const ArtifactFile &artifact) {
  Result<Metadata> metadata = parseMetadata(artifact.path(), artifact.metadata());
  if (!metadata)
    return metadata.error();
  const Program &p = artifact.targets().front().program; // of the same model for all
  ordered_json groups = ordered_json::array(), buckets = ordered_json::array();
  uint64_t perPosition = 0;
  for (const stepdown_cache_group &g : p.groups) {
    uint64_t bytes =
        uint64_t(g.layers) * g.kv_heads * (uint64_t(g.key_dim) + g.value_dim) * stepdown_cached_bytes(g.element);
    perPosition += bytes;
    groups.push_back({{"layers", g.layers},
                      {"kv_heads", g.kv_heads},
                      {"key_dim", stepdown_cached_channels(g.element, g.key_dim)},
                      {"value_dim", stepdown_cached_channels(g.element, g.value_dim)},
                      {"window", g.window},
                      {"element", stepdown_cached_name(g.element)},
                      {"bytes_per_position", bytes}});
  }
  for (const stepdown_bucket &bucket : p.buckets)
    buckets.push_back({{"min_tokens", bucket.min_tokens}, {"tile", bucket.tile}});
  return ordered_json{{"kind", "artifact"},
                      {"abi_version", artifact.header().abi_version},
                      {"metadata", metadataOf(*metadata)},
                      {"targets", describeTargets(artifact)},
                      {"exact", p.head.exact != 0},
                      {"vocabulary", p.head.vocabulary},
                      {"width", p.head.width},
                      {"layers", p.layers.count},
                      {"max_context", p.head.max_context},
                      {"max_step_tokens", p.head.max_step_tokens},
                      {"max_step_rows", p.head.max_step_rows},
                      {"memory_plan",
                       {{"weight_bytes", artifact.weightBytes()},
                        {"activation_bytes", p.head.arena_bytes},
                        {"logits_bytes", logitFloats(p) * sizeof(float)},
                        {"kv_bytes_per_position", perPosition}}},
                      {"cache_groups", groups},
                      {"buckets", buckets},
                      {"provenance", describeProvenance(artifact)}};
}

/// The same as indented lines: "key: value".
void lines(const ordered_json &value, size_t indent, std::string &out) {
  for (const auto &[key, item] : value.items()) {
    out += std::string(indent, ' ') + (value.is_array() ? "-" : key + ":");
    if (item.is_object() || (item.is_array() && !item.empty() && item[0].is_object())) {
      if (item.is_object() && value.is_array()) {
        out += " " + item.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
        continue;
      }
      out += "\n";
      lines(item, indent + 2, out);
      continue;
    }
    std::string text = item.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    out += " " + (text.size() > 100 && key != "refusal" ? text.substr(0, 97) + "..." : text) + "\n";
  }
}

Status writeTensor(const std::string &path, const std::string &name, const std::string &target) {
  if (isArtifact(path))
    return fail(ErrorCode::TensorUnknown, "%s: expects a checkpoint: the weights of an artifact are repacked",
                path.c_str());
  auto checkpoint = Checkpoint::open(path);
  if (!checkpoint)
    return checkpoint.error();
  const StoredTensor *tensor = checkpoint->tensor(name);
  if (!tensor) {
    std::vector<std::string> names;
    for (const StoredTensor &known : checkpoint->tensors())
      names.emplace_back(known.name);
    return fail(ErrorCode::TensorUnknown, "%s: expects a tensor of the file, but got \"%s\"%s", path.c_str(),
                name.c_str(), suggestion(name, names).c_str());
  }
  const BlockFormat *format = blockFormat(tensor->storage);
  if (!format)
    return fail(ErrorCode::TensorUnknown, "%s: %s: expects a type that can be decoded, but got type %u", path.c_str(),
                name.c_str(), static_cast<uint32_t>(tensor->storage));
  std::vector<uint64_t> shape(tensor->dims, tensor->dims + tensor->rank);
  std::reverse(shape.begin(), shape.end());
  auto writer = NpyWriter::create(target, "<f4", shape, checkpointFiles(path));
  if (!writer)
    return writer.error();
  constexpr uint64_t atOnce = 4096; // blocks
  std::vector<float> values(atOnce * format->elements);
  std::vector<uint8_t> room;
  // Rows that are made are made one by one; others lie one behind the other.
  const uint64_t pieces = tensor->data ? 1 : tensor->rows(), blocks = tensor->bytes / pieces / format->bytes;
  for (uint64_t piece = 0; piece < pieces; ++piece) {
    const uint8_t *from = tensor->data ? tensor->data : tensor->read(piece, 1, room);
    for (uint64_t at = 0; at < blocks; at += atOnce) {
      const uint64_t count = std::min(atOnce, blocks - at);
      decode(*format, from + at * format->bytes, count, values.data());
      if (Status ok = writer->write(values.data(), count * format->elements * sizeof(float)); !ok)
        return ok;
    }
  }
  return writer->finish();
}

Status runInspect(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  const std::string &path = (*words)[0];
  auto tensor = arguments.text("tensor"), target = arguments.text("npy");
  if (bool(tensor) != bool(target))
    return fail(ErrorCode::Usage, "inspect: expects --tensor NAME and --npy FILE together, but got one of them");
  if (tensor)
    return writeTensor(path, *tensor, *target);
  ordered_json description;
  if (isArtifact(path)) {
    auto artifact = ArtifactFile::open(path);
    if (!artifact)
      return artifact.error();
    auto described = artifact->holdsFunctions() ? describeFunctions(*artifact) : describe(*artifact);
    if (!described)
      return described.error();
    description = std::move(*described);
  } else {
    // Tensors of types that we lack can be listed; damaged ones are refused.
    auto checkpoint = Checkpoint::open(path);
    Status runs = checkpoint ? checkModel(*checkpoint) : Status(checkpoint.error());
    if (!checkpoint && checkpoint.error().code == ErrorCode::GgufTensorTypeUnsupported)
      checkpoint = Checkpoint::open(path, true);
    if (!checkpoint)
      return checkpoint.error();
    if (runs)
      if (Result<Tokenizer> tokenizer = Tokenizer::create(checkpoint->metadata()); !tokenizer)
        runs = tokenizer.error();
    description = describe(*checkpoint, runs);
  }
  if (arguments.has("json"))
    return print(description.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  std::string text;
  lines(description, 0, text);
  return print(text);
}

} // namespace

Command inspectCommand() {
  return {"inspect",
          "MODEL",
          "Shows metadata, targets, memory plan and provenance; or writes one tensor out. Compiles nothing.",
          {{"json", 0, nullptr, "one JSON object"},
           {"tensor", 0, "NAME", "with --npy: this tensor of a checkpoint, dequantised exactly as the format defines"},
           Option("npy", 0, "FILE.npy", "where to write it, as float32").file()},
          "stepdown-run inspect smollm2.gguf --tensor token_embd.weight --npy embeddings.npy",
          runInspect};
}

} // namespace stepdown::run
