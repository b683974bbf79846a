// Rotary positions: rope_parameters as transformers 5 writes them, rope_theta and rope_scaling as versions before did.
// Formulas: modeling_rope_utils.py of transformers 5.24.
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Config.h"

#include <cmath>

namespace stepdown {
namespace {

constexpr uint64_t longRopeTrained = 4096; // original_max_position_embeddings, where Phi 3's config.json has none
constexpr double pi = 3.14159265358979323846;

constexpr double mostFactor = 1e9;
/// Of attention_factor, which what follows from YaRN's factor may divide by a hundred.
constexpr KeyRange magnitudes = {128 * kMagnitudes.least, kMagnitudes.most, false};

/// What is read of one set of parameters, whose keys lie in `object` and, for old files, in `config` beside it.
struct RopeReader {
  const JsonObject &config;
  const FolderFamily &family;
  const uint64_t headSize, context;
  PairWriter &pairs;
  std::vector<MadeVector> &made;

  std::string key(const char *name) const { return std::string(family.architecture) + "." + name; }
  Status read(const JsonObject &object);
  Status llama3(const JsonObject &object, double base, uint64_t dimensions);
  Status yarn(const JsonObject &object, double base);
  Status longRope(const JsonObject &object, uint64_t dimensions);
  Result<uint64_t> original(const JsonObject &object) const;
};

/// rope_type, which was called type; "default" where neither is there.
Result<std::string> typeOf(const JsonObject &object) {
  Result<std::string> old = object.text("type", "default");
  Result<std::string> type = old ? object.text("rope_type", old->c_str()) : old;
  const auto isLong = [](const std::string &name) { return name == "su" || name == "longrope"; }; // one scheme
  if (type && object.has("type") && *type != *old && !(isLong(*type) && isLong(*old)))
    return object.refuse("rope_type", "expects what type says, '" + printable(*old) + "'");
  return type;
}

/// Positions of the first training. What stands beside rope_scaling goes first, as in transformers.
Result<uint64_t> RopeReader::original(const JsonObject &object) const {
  const char *name = "original_max_position_embeddings";
  Result<uint64_t> inside = object.count(name, context);
  if (inside && family.longRope) // whose default stands beside rope_scaling too
    inside = longRopeTrained;
  Result<uint64_t> number = inside ? config.count(name, *inside) : inside;
  if (number && (*number == 0 || *number > kMostContext))
    return (config.has(name) ? config : object).refuse(name, "expects 1 to " + std::to_string(kMostContext));
  return number;
}

/// Factors that divide the frequencies, in the tensor that GGUF files have for them.
Status RopeReader::llama3(const JsonObject &object, double base, uint64_t dimensions) {
  Result<double> factor = object.real("factor"), low = object.real("low_freq_factor"),
                 high = object.real("high_freq_factor");
  for (const Result<double> *each : {&factor, &low, &high})
    if (!*each)
      return each->error();
  Result<uint64_t> trained = original(object);
  if (!trained)
    return trained.error();
  if (*factor < 1 || *factor > mostFactor)
    return object.refuse("factor", "expects 1 to 1e9");
  if (*low <= 0)
    return object.refuse("low_freq_factor", "expects a number above 0");
  if (*high <= *low)
    return object.refuse("high_freq_factor", "expects more than low_freq_factor");
  MadeVector factors{"rope_freqs.weight", {}};
  for (uint64_t k = 0; k < dimensions / 2; ++k) {
    const double turns = double(*trained) * std::pow(base, -2.0 * double(k) / double(dimensions)) / (2 * pi);
    const double smooth = std::fmin(std::fmax((turns - *low) / (*high - *low), 0.0), 1.0);
    factors.values.push_back(static_cast<float>(1 / ((1 - smooth) / *factor + smooth)));
  }
  made.push_back(std::move(factors));
  return Done{};
}

Status RopeReader::yarn(const JsonObject &object, double base) {
  Result<double> factor = realWithin(object, "factor", {1, kAnyPositive.most, false}),
                 fast = realWithin(object, "beta_fast", kAnyPositiveOrNone, 32),
                 slow = realWithin(object, "beta_slow", kAnyPositiveOrNone, 1),
                 magnitude = realWithin(object, "attention_factor", magnitudes, 1);
  for (const Result<double> *each : {&factor, &fast, &slow, &magnitude})
    if (!*each)
      return each->error();
  fast = *fast != 0 ? *fast : 32, slow = *slow != 0 ? *slow : 1;
  if (*slow > *fast)
    return object.has("beta_slow") ? object.refuse("beta_slow", "expects at most beta_fast")
                                   : object.refuse("beta_fast", "expects at least beta_slow, 1 where it is missing");
  if (base <= 1)
    return (object.has("rope_theta") ? object : config).refuse("rope_theta", "expects a number above 1 with yarn");
  Result<uint64_t> trained = original(object);
  if (!trained)
    return trained.error();
  for (const char *name : {"mscale", "mscale_all_dim"})
    if (object.has(name))
      return object.refuse(name, "expects none (the family computes attention_factor from factor alone)");
  Result<bool> truncate = object.boolean("truncate", true);
  if (!truncate)
    return truncate.error();
  if (!*truncate) // GGUF cannot say it
    pairs.add(key("rope.scaling.yarn_truncate"), false);
  pairs.add(key("rope.scaling.type"), "yarn");
  pairs.add(key("rope.scaling.factor"), *factor);
  pairs.add(key("rope.scaling.original_context_length"), *trained);
  pairs.add(key("rope.scaling.yarn_beta_fast"), *fast);
  pairs.add(key("rope.scaling.yarn_beta_slow"), *slow);
  if (object.has("attention_factor")) // GGUF's multiplies what follows from the factor
    pairs.add(key("rope.scaling.attn_factor"), *magnitude / (0.1 * std::log(*factor) + 1));
  return Done{};
}

Status RopeReader::longRope(const JsonObject &object, uint64_t dimensions) {
  Result<uint64_t> trained = original(object);
  if (!trained)
    return trained.error();
  const double stretch = double(context) / double(*trained);
  Result<double> factor = object.real("factor", stretch);
  if (!factor)
    return factor.error();
  const double follows =
      *factor <= 1 || *trained < 2 ? 1 : std::sqrt(1 + std::log(*factor) / std::log(double(*trained)));
  Result<double> magnitude = realWithin(object, "attention_factor", magnitudes, follows);
  if (!magnitude)
    return magnitude.error();
  for (auto [theirs, ours] : {std::pair("long_factor", "long"), std::pair("short_factor", "short")}) {
    Result<std::vector<double>> factors = object.reals(theirs);
    if (!factors)
      return factors.error();
    if (factors->size() != dimensions / 2)
      return object.refuse(theirs, "expects " + std::to_string(dimensions / 2) + " numbers, one for each rotated pair");
    for (double each : *factors) // each becomes a float
      if (each < 1 / mostFactor || each > mostFactor)
        return object.refuse(theirs, "expects numbers from 1e-9 to 1e9");
    made.push_back({std::string("rope_factors_") + ours + ".weight", {factors->begin(), factors->end()}});
  }
  pairs.add(key("rope.scaling.type"), "longrope");
  pairs.add(key("rope.scaling.original_context_length"), *trained);
  pairs.add(key("rope.scaling.attn_factor"), *magnitude);
  return Done{};
}

Status RopeReader::read(const JsonObject &object) {
  Result<double> outside = config.real("rope_theta", family.theta);
  Result<double> base = outside ? object.real("rope_theta", *outside) : outside;
  if (!base)
    return base.error();
  if (!kAnyPositive.holds(*base))
    return (object.has("rope_theta") ? object : config).refuse("rope_theta", "expects " + kAnyPositive.text());
  Result<double> part = config.real("partial_rotary_factor", family.rotaryPart);
  part = part ? object.real("partial_rotary_factor", *part) : part;
  if (!part)
    return part.error();
  if (*part <= 0 || *part > 1 || (*part != 1 && !family.partialRotary))
    return (object.has("partial_rotary_factor") ? object : config)
        .refuse("partial_rotary_factor", family.partialRotary ? "expects a number above 0 and at most 1" : "expects 1");
  const uint64_t dimensions = static_cast<uint64_t>(double(headSize) * *part);
  if (dimensions == 0 || dimensions % 2 != 0) {
    const bool inside = object.has("partial_rotary_factor"), whole = dimensions == headSize;
    return (inside && !whole ? object : config)
        .refuse(!whole                   ? "partial_rotary_factor"
                : config.has("head_dim") ? "head_dim"
                                         : "hidden_size",
                "expects heads of which an even number of elements rotates");
  }
  if (dimensions != headSize)
    pairs.add(key("rope.dimension_count"), dimensions);

  Result<std::string> type = typeOf(object);
  if (!type)
    return type.error();
  if (family.stretchedBase && *type == "dynamic" && object.has("alpha")) {
    Result<double> alpha = realWithin(object, "alpha", kAnyPositive);
    if (!alpha)
      return alpha.error();
    if (dimensions < 4)
      return object.refuse("alpha", "expects heads of at least 4 elements");
    *base *= std::pow(*alpha, double(dimensions) / double(dimensions - 2));
    if (!kAnyPositive.holds(*base))
      return object.refuse("alpha", "expects a base of " + kAnyPositive.text() + " with it");
    for (const char *name : {"beta_fast", "beta_slow", "mscale", "mscale_all_dim"}) // of yarn
      object.skip(name);
  }
  pairs.add(key("rope.freq_base"), *base);
  const bool isLong = *type == "longrope" || *type == "su" || *type == "yarn";
  Status read = Done{};
  if (family.longRope ? isLong : false) {
    read = longRope(object, dimensions);
  } else if (*type == "linear" && !family.longRope) {
    Result<double> factor = realWithin(object, "factor", kAnyPositive);
    if (!factor)
      return factor.error();
    pairs.add(key("rope.scaling.type"), "linear");
    pairs.add(key("rope.scaling.factor"), *factor);
  } else if (*type == "llama3" && !family.longRope) {
    read = llama3(object, *base, dimensions);
  } else if (*type == "yarn") {
    read = yarn(object, *base);
  } else if (*type == "dynamic" && !family.longRope) { // a base that grows behind max_position_embeddings
    if (Result<double> factor = realWithin(object, "factor", {1, kAnyPositive.most, false}); !factor)
      return factor.error();
  } else if (*type != "default") {
    return object.refuse(object.has("rope_type") ? "rope_type" : "type",
                         family.longRope ? "expects default or longrope"
                                         : "expects default, dynamic, linear, llama3 or yarn");
  }
  if (!read)
    return read;
  object.skip("original_max_position_embeddings"); // of a scheme that does not need it
  object.skip("factor");
  return object.everyKeyRead(ErrorCode::ConfigKey);
}

} // namespace

Status readRope(const JsonObject &config, const FolderFamily &family, uint64_t headSize, uint64_t context,
                PairWriter &pairs, std::vector<MadeVector> &made) {
  // GGUF's converters put the rows of q and k of some families in the order in which neighbours rotate together.
  // Folders do where the model was made so.
  pairs.add(std::string(family.architecture) + ".rope.pairs", family.adjacent ? "adjacent" : "halves");
  RopeReader reader{config, family, headSize, context, pairs, made};
  config.skip("original_max_position_embeddings");
  if (config.has("rope_parameters") && config.has("rope_scaling"))
    return config.refuse("rope_scaling", "expects it or rope_parameters, not both");
  const bool local = family.localRope;
  double localBase = 0;
  if (local) {
    const bool shared = family.localTheta == 0; // with the other layers
    Result<double> base = shared ? config.real("rope_theta", family.theta)
                                 : realWithin(config, "rope_local_base_freq", kAnyPositive, family.localTheta);
    if (!base)
      return base.error();
    // transformers gives window layers its default in place of one that stands alone, and GGUF files have it for all.
    if (shared && *base != family.theta)
      return config.refuse("rope_theta", "expects its default where rope_parameters does not say it for full_attention "
                                         "and for sliding_attention");
    if (const nlohmann::json *each = config.find("rope_parameters");
        shared && each && !each->contains("full_attention") && !each->contains("sliding_attention"))
      return config.refuse("rope_parameters", "expects full_attention and sliding_attention in it");
    localBase = *base;
  }
  if (family.clampedGate && !config.has("rope_parameters") && !config.has("rope_scaling"))
    return config.refuse("rope_parameters", "expects an object (the family rotates with yarn)");
  const nlohmann::json none = nlohmann::json::object();
  Result<JsonObject> object = JsonObject(config.file(), none, ErrorCode::ConfigValue);
  if (config.has("rope_scaling"))
    object = config.object("rope_scaling");
  else if (config.has("rope_parameters"))
    object = config.object("rope_parameters");
  if (!object)
    return object.error();
  if (local && (object->has("full_attention") || object->has("sliding_attention"))) {
    if (object->has("sliding_attention")) {
      Result<JsonObject> window = object->object("sliding_attention");
      if (!window)
        return window.error();
      Result<std::string> type = typeOf(*window);
      Result<double> base = realWithin(*window, "rope_theta", kAnyPositive, localBase);
      if (!type || !base)
        return type ? Status(base.error()) : Status(type.error());
      if (*type != "default")
        return window->refuse("rope_type", "expects default");
      if (Status read = window->everyKeyRead(ErrorCode::ConfigKey); !read)
        return read;
      localBase = *base;
    }
    if (Status read = object->everyKeyRead(ErrorCode::ConfigKey); !read)
      return read;
    if (!object->has("full_attention"))
      object = JsonObject(config.file(), none, ErrorCode::ConfigValue);
    else
      object = object->object("full_attention");
    if (!object)
      return object.error();
  }
  if (local)
    pairs.add(reader.key("rope.freq_base_swa"), localBase);
  return reader.read(*object);
}

} // namespace stepdown
