#include "lib/Checkpoint/HuggingFace/QuantConfig.h"
#include "lib/Base/Suggestion.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>

namespace stepdown {
namespace {

using Form = FolderQuantization::Form;
using Strategy = FolderQuantization::Strategy;

/// Keys that change nothing of what the tensors mean, and why.
constexpr struct {
  const char *name, *reason;
} harmless[] = {
    {"modules_to_not_convert", "each tensor says its own type"},
    {"modules_to_convert", "each tensor says its own type"},
    {"ignored_layers", "each tensor says its own type"},
    {"ignore", "each tensor says its own type"},
    {"targets", "each tensor says its own type"},
    {"lm_head", "each tensor says its own type"},
    {"modules_in_block_to_quantize", "each tensor says its own type"},
    {"block_name_to_quantize", "each tensor says its own type"},
    {"module_name_preceding_first_block", "each tensor says its own type"},
    {"dequantize", "how transformers computes"},
    {"run_compressed", "how transformers computes"},
    {"use_optimized_inference", "how transformers computes"},
    {"backend", "how transformers computes"},
    {"use_exllama", "how transformers computes"},
    {"disable_exllama", "how transformers computes"},
    {"exllama_config", "how transformers computes"},
    {"use_cuda_fp16", "how transformers computes"},
    {"do_fuse", "how transformers computes"},
    {"fuse_max_seq_len", "how transformers computes"},
    {"modules_to_fuse", "how transformers computes"},
    {"max_input_length", "how transformers computes"},
    {"activation_scheme", "activations have more bits here"},
    {"input_activations", "activations have more bits here"},
    {"scale_fmt", "the scales say what they are"},
    {"desc_act", "g_idx says in which order columns are"},
    {"static_groups", "g_idx says in which order columns are"},
    {"actorder", "weight_g_idx says in which order columns are"},
    {"act_group_aware", "how the weights were found"},
    {"damp_percent", "how the weights were found"},
    {"damp_auto_increment", "how the weights were found"},
    {"true_sequential", "how the weights were found"},
    {"mse", "how the weights were found"},
    {"dataset", "how the weights were found"},
    {"tokenizer", "how the weights were found"},
    {"batch_size", "how the weights were found"},
    {"pad_token_id", "how the weights were found"},
    {"model_seqlen", "how the weights were found"},
    {"cache_block_outputs", "how the weights were found"},
    {"observer", "how the weights were found"},
    {"observer_kwargs", "how the weights were found"},
    {"meta", "a note of a tool"},
    {"quantizer", "a note of a tool"},
    {"model_name_or_path", "a note of a tool"},
    {"model_file_base_name", "a note of a tool"},
    {"global_compression_ratio", "a note of a tool"},
    {"quantization_status", "a note of a tool"},
    {"scale_dtype", "the scales say what they are"},
    {"zp_dtype", "the zero points say what they are"},
};

class QuantReader {
public:
  explicit QuantReader(const JsonObject &scheme) : scheme(scheme) {}
  Result<FolderQuantization> read();

private:
  Status gptq();
  Status awq();
  Status compressed();
  Status float8();
  Status bitsOf(const JsonObject &object, const char *key, std::initializer_list<uint64_t> known);
  Status groupOf(const JsonObject &object, const char *key);
  Status blockOf(const JsonObject &object, const char *key);
  /// Refuses `key` but where it is missing, empty or false.
  static Status none(const JsonObject &object, const char *key, const char *why);
  static Status everyKeyRead(const JsonObject &object);

  const JsonObject &scheme;
  FolderQuantization q;
};

#define STEPDOWN_CHECK(STATUS)                                                                                         \
  if (Status status = (STATUS); !status)                                                                               \
  return status

Status QuantReader::none(const JsonObject &object, const char *key, const char *why) {
  const nlohmann::json *value = object.find(key);
  return !value || asksForNothing(*value) ? Status(Done{}) : object.refuse(ErrorCode::FolderQuantization, key, why);
}

Status QuantReader::everyKeyRead(const JsonObject &object) {
  for (const auto &each : harmless)
    object.skip(each.name);
  for (const std::string &key : object.unread())
    if (!asksForNothing(*object.find(key.c_str())))
      return object.refuse(ErrorCode::ConfigKey, key.c_str(), "expects no such key, whose meaning is not known");
  return Done{};
}

Status QuantReader::bitsOf(const JsonObject &object, const char *key, std::initializer_list<uint64_t> known) {
  Result<uint64_t> bits = object.count(key);
  if (!bits)
    return bits.error();
  std::string list;
  for (uint64_t each : known)
    list += (list.empty() ? "" : ", ") + std::to_string(each);
  if (std::find(known.begin(), known.end(), *bits) == known.end())
    return object.refuse(key, "expects one of " + list);
  q.bits = *bits;
  return Done{};
}

/// A number of columns, or -1 for all.
Status QuantReader::groupOf(const JsonObject &object, const char *key) {
  const nlohmann::json *value = object.find(key);
  if (value && value->is_number_integer() && !value->is_number_unsigned() && value->get<int64_t>() == -1)
    return q.group = 0, Done{};
  Result<uint64_t> group = object.count(key);
  if (!group || *group == 0 || *group > 1u << 20)
    return object.refuse(key, "expects 1 to 1048576 columns, or -1 for all");
  q.group = *group;
  return Done{};
}

Status QuantReader::blockOf(const JsonObject &object, const char *key) {
  Result<std::vector<uint64_t>> sizes = object.counts(key);
  if (!sizes || sizes->size() != 2 || (*sizes)[0] == 0 || (*sizes)[1] == 0 || (*sizes)[0] > 1u << 20 ||
      (*sizes)[1] > 1u << 20)
    return object.refuse(key, "expects two numbers of 1 to 1048576, rows and columns of a scale");
  q.blockRows = (*sizes)[0], q.blockColumns = (*sizes)[1], q.strategy = Strategy::Block;
  return Done{};
}

Status QuantReader::gptq() {
  q.form = Form::Gptq, q.zeroPoints = true;
  STEPDOWN_CHECK(bitsOf(scheme, "bits", {2, 3, 4, 8}));
  STEPDOWN_CHECK(groupOf(scheme, "group_size"));
  if (Result<bool> symmetric = scheme.boolean("sym", true); !symmetric) // zero points are stored either way
    return symmetric.error();
  // Two names of one key, the older of which goes first, as in transformers.
  Result<std::string> format = scheme.text("format", "gptq");
  format = format ? scheme.text("checkpoint_format", format->c_str()) : format;
  if (!format)
    return format.error();
  if (*format != "gptq" && *format != "gptq_v2")
    return scheme.refuse(ErrorCode::FolderQuantization,
                         scheme.has("checkpoint_format") ? "checkpoint_format" : "format", "expects gptq or gptq_v2");
  q.storedLess = *format == "gptq";
  STEPDOWN_CHECK(none(scheme, "is_marlin_format", "expects false (weights in the order of GPTQ)"));
  STEPDOWN_CHECK(none(scheme, "rotation", "expects none (weights that are not rotated)"));
  STEPDOWN_CHECK(none(scheme, "adapter", "expects none"));
  if (Result<std::string> type = scheme.text("pack_dtype", "int32"); !type || *type != "int32")
    return scheme.refuse(ErrorCode::FolderQuantization, "pack_dtype", "expects int32");
  return Done{};
}

Status QuantReader::awq() {
  q.form = Form::Awq;
  STEPDOWN_CHECK(bitsOf(scheme, scheme.has("w_bit") ? "w_bit" : "bits", {4}));
  STEPDOWN_CHECK(groupOf(scheme, scheme.has("q_group_size") ? "q_group_size" : "group_size"));
  Result<std::string> version = scheme.text("format", "gemm");
  version = version ? scheme.text("version", version->c_str()) : version;
  if (!version)
    return version.error();
  if (*version != "gemm" && *version != "GEMM")
    return scheme.refuse(ErrorCode::FolderQuantization, scheme.has("version") ? "version" : "format",
                         "expects gemm, whose codes lie by columns");
  Result<bool> zeros = scheme.boolean("zero_point", true);
  if (!zeros)
    return zeros.error();
  if (!*zeros)
    return scheme.refuse(ErrorCode::FolderQuantization, "zero_point", "expects true");
  q.zeroPoints = true;
  return Done{};
}

Status QuantReader::float8() {
  q.form = Form::Float8, q.strategy = Strategy::Tensor;
  if (Result<std::string> format = scheme.text("fmt", "e4m3"); !format || *format != "e4m3")
    return scheme.refuse(ErrorCode::FolderQuantization, "fmt", "expects e4m3");
  if (Result<std::string> experts = scheme.text("expert_dtype", "fp8"); !experts || *experts != "fp8")
    return scheme.refuse(ErrorCode::FolderQuantization, "expert_dtype", "expects fp8");
  if (!scheme.value().contains("weight_block_size")) // transformers' default
    q.blockRows = q.blockColumns = 128, q.strategy = Strategy::Block;
  // null: one scale for all
  return scheme.has("weight_block_size") ? blockOf(scheme, "weight_block_size") : Status(Done{});
}

/// One group of linears of compressed-tensors.
Status QuantReader::compressed() {
  const std::vector<std::string> known = {"float-quantized", "int-quantized", "naive-quantized", "pack-quantized"};
  Result<std::string> format = scheme.text("format");
  if (!format)
    return format.error();
  if (std::find(known.begin(), known.end(), *format) == known.end())
    return scheme.refuse(ErrorCode::FolderQuantization, "format",
                         "expects " + alternatives(known) + suggestion(*format, known));
  STEPDOWN_CHECK(none(scheme, "kv_cache_scheme", "expects none (keys and values without scales of their own)"));
  STEPDOWN_CHECK(none(scheme, "transform_config", "expects none (weights that are not rotated)"));
  STEPDOWN_CHECK(none(scheme, "moe_sparsity_config", "expects none"));
  if (const nlohmann::json *sparsity = scheme.find("sparsity_config"); sparsity && !sparsity->empty())
    if (!sparsity->is_object() || sparsity->value("format", nlohmann::json("dense")) != "dense")
      return scheme.refuse(ErrorCode::FolderQuantization, "sparsity_config", "expects none, or of format dense");
  scheme.skip("version");
  Result<JsonObject> groups = scheme.object("config_groups");
  if (!groups)
    return groups.error();
  if (groups->value().size() != 1)
    return scheme.refuse(ErrorCode::FolderQuantization, "config_groups",
                         "expects one group, whose form all linears have");
  const std::string name = groups->value().begin().key();
  Result<JsonObject> group = groups->object(name.c_str());
  if (!group)
    return group.error();
  STEPDOWN_CHECK(none(*group, "output_activations", "expects none"));
  if (Result<std::string> own = group->text("format", format->c_str()); !own || *own != *format)
    return group->refuse("format", "expects what stands above it, " + printable(*format));
  Result<JsonObject> weights = group->object("weights");
  if (!weights)
    return weights.error();
  Result<std::string> type = weights->text("type", "int"), strategy = weights->text("strategy", "");
  Result<bool> symmetric = weights->boolean("symmetric", true);
  for (const Error *error : {type ? nullptr : &type.error(), strategy ? nullptr : &strategy.error(),
                             symmetric ? nullptr : &symmetric.error()})
    if (error)
      return *error;
  if (*type != "int" && *type != "float")
    return weights->refuse("type", "expects int or float");
  const bool floats = *type == "float", packed = *format == "pack-quantized";
  if (floats ? packed || *format == "int-quantized" : *format == "float-quantized")
    return weights->refuse("type", "expects what format " + *format + " holds");
  q.form = floats ? Form::Float8 : packed ? Form::Packed : Form::Bytes;
  STEPDOWN_CHECK(none(*weights, "dynamic", "expects false (scales that the file has)"));
  // Codes of other widths lie one way in 0.12 (whole codes a word) and another in 0.20 (a stream of bits).
  if (Result<uint64_t> bits = weights->count("num_bits"); packed && bits && *bits < 8 && *bits > 1 && 32 % *bits != 0)
    return weights->refuse(ErrorCode::FolderQuantization, "num_bits",
                           "expects 2, 4 or 8 (releases 0.12 and 0.20 of compressed-tensors pack others differently)");
  STEPDOWN_CHECK(packed ? bitsOf(*weights, "num_bits", {2, 4, 8}) : bitsOf(*weights, "num_bits", {8}));
  q.zeroPoints = !*symmetric;
  if (floats && q.zeroPoints)
    return weights->refuse("symmetric", "expects true of floats");
  const bool grouped = *strategy == "group" && !floats, blocks = *strategy == "block" && floats;
  if (*strategy != "tensor" && *strategy != "channel" && !grouped && !blocks)
    return weights->refuse(ErrorCode::FolderQuantization, "strategy",
                           floats ? "expects tensor, channel or block" : "expects tensor, channel or group");
  q.strategy = *strategy == "tensor" ? Strategy::Tensor : *strategy == "channel" ? Strategy::Channel : Strategy::Group;
  if (grouped)
    STEPDOWN_CHECK(groupOf(*weights, "group_size"));
  if (blocks)
    STEPDOWN_CHECK(blockOf(*weights, "block_structure"));
  if (*strategy != "group") // null, or -1
    weights->skip("group_size");
  weights->skip("block_structure");
  STEPDOWN_CHECK(everyKeyRead(*weights));
  return everyKeyRead(*group);
}

Result<FolderQuantization> QuantReader::read() {
  const struct {
    const char *name;
    Status (QuantReader::*read)();
  } methods[] = {{"awq", &QuantReader::awq},
                 {"compressed-tensors", &QuantReader::compressed},
                 {"fp8", &QuantReader::float8},
                 {"gptq", &QuantReader::gptq},
                 {"mxfp4", nullptr}};
  std::vector<std::string> names;
  for (const auto &method : methods)
    names.push_back(method.name);
  Result<std::string> name = scheme.text("quant_method", "");
  if (!name)
    return name.error();
  const auto *method =
      std::find_if(std::begin(methods), std::end(methods), [&](const auto &each) { return *name == each.name; });
  if (method == std::end(methods))
    return scheme.refuse(ErrorCode::FolderQuantization, "quant_method",
                         "expects " + alternatives(names) + suggestion(*name, names));
  if (Status one = none(scheme, "dynamic", "expects none (one form for all linears)"); !one)
    return one.error();
  if (!method->read)
    q.form = Form::Mxfp4;
  else if (Status read = (this->*method->read)(); !read)
    return read.error();
  if (Status read = everyKeyRead(scheme); !read)
    return read.error();
  return q;
}

#undef STEPDOWN_CHECK

} // namespace

Result<FolderQuantization> readQuantization(const JsonObject &config) {
  const nlohmann::json *value = config.find("quantization_config");
  if (!value || !value->is_object())
    return config.refuse("quantization_config", "expects an object");
  return QuantReader(JsonObject(config.file(), *value, ErrorCode::QuantConfigValue, "quantization_config.")).read();
}

} // namespace stepdown
