// Tensors against hyper-parameters: each tensor a family needs is there and has the shape that its parameters give it.
#include "lib/Checkpoint/Families.h"
#include "lib/Checkpoint/GgufShard.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <iterator>
#include <limits>
#include <unordered_set>

namespace stepdown {
namespace {

std::string shapeText(const uint64_t *dims, int rank) {
  std::string text = "{";
  for (int i = 0; i < rank; ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "}";
}

/// Tensors that no family reads and that none needs, by the end of their name.
constexpr struct {
  std::string_view ending;
  const char *reason;
} harmlessTensors[] = {
    {".attn_rot_embd.weight", "the frequencies that the rotary keys give, as old converters copied them"},
    {".attn_rot_embd", "the same, in files that are older still"},
    {".input_scale", "what a quantiser divided activations by, which have scales of their own here"},
};

bool endsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

/// Checks the tensors of one model, remembering the first refusal, so that what is below reads as a list.
struct Checker {
  const Checkpoint &checkpoint;
  const ModelParameters &p;
  Status status = Done{};
  std::unordered_set<std::string> read = {}; // every name that the family may have

  void need(const std::string &name, std::initializer_list<uint64_t> dims) {
    read.insert(name);
    if (status)
      if (auto tensor = requireTensor(checkpoint, name, dims); !tensor)
        status = tensor.error();
  }
  void allow(const std::string &name, std::initializer_list<uint64_t> dims) {
    read.insert(name);
    if (status)
      if (auto tensor = optionalTensor(checkpoint, name, dims); !tensor)
        status = tensor.error();
  }
  /// Divisors of the rotary frequencies.
  void factors(const char *name) {
    const StoredTensor *tensor = checkpoint.tensor(name);
    if (status && tensor && tensor->data) // else the names and shapes are all that is known
      if (auto values = rotaryFactors(checkpoint, name, p.rope.dimensions / 2); !values)
        status = values.error();
  }
  /// A linear weight [out, in] and, as the family has it, its bias.
  void linear(const std::string &name, uint64_t in, uint64_t out, bool bias = false) {
    need(name + ".weight", {in, out});
    scale(name);
    if (bias)
      need(name + ".bias", {out});
    else
      allow(name + ".bias", {out});
  }

  /// What multiplies the weight, of all of it or of each expert, where its type has such a number.
  void scale(const std::string &name) {
    const StoredTensor *weight = checkpoint.tensor(name + ".weight");
    if (!weight || !status)
      return;
    if (auto factor = checkpoint.scaleOf(*weight); !factor)
      status = factor.error();
    else if (*factor)
      read.insert(std::string((*factor)->name));
  }
  /// A stack of experts' weights [experts, out, in].
  void stack(const std::string &name, uint64_t in, uint64_t out) {
    need(name + ".weight", {in, out, p.experts});
    scale(name);
  }

  // The words of a layer (Families), of which only the tensors count.
  struct Rows {
    uint64_t columns;
  };
  struct Projections {
    Rows q, k, v;
  };
  enum class Gate { Silu, GeluTanh, GeluErf, ClampedSwish };
  std::string at = {}; // "blk.N.", of the layer
  uint32_t layer = 0;

  Rows norm(Rows x, const char *name) {
    need(at + name + ".weight", {x.columns});
    return x;
  }
  Rows layerNorm(Rows x, const char *name) {
    layerNormed(at + name);
    return x;
  }
  void layerNormed(const std::string &name) {
    need(name + ".weight", {p.width});
    if (p.family->norms == Norms::LayerBiased)
      need(name + ".bias", {p.width});
  }
  Rows headNorm(Rows x, const char *name) {
    need(at + name + ".weight", {p.headSize});
    return x;
  }
  Projections projections(Rows) {
    uint64_t q = p.queryWidth(layer), kv = p.keyWidth(layer);
    const bool bias = p.family->projectionBias;
    if (checkpoint.tensor(at + "attn_qkv.weight")) {
      linear(at + "attn_qkv", p.width, q + 2 * kv, bias);
    } else {
      linear(at + "attn_q", p.width, q, bias);
      linear(at + "attn_k", p.width, kv, bias);
      linear(at + "attn_v", p.width, kv, bias);
    }
    return {{q}, {kv}, {kv}};
  }
  Rows rope(Rows x) { return x; }
  Rows attention(Projections) {
    if (p.family->sinks)
      need(at + "attn_sinks.weight", {p.heads[layer]});
    else
      allow(at + "attn_sinks.weight", {p.heads[layer]});
    linear(at + "attn_output", p.queryWidth(layer), p.width, p.family->sinks);
    return {p.width};
  }
  Rows gatedMlp(Rows, Gate) {
    linear(at + "ffn_gate", p.width, p.feedForward[layer]);
    return mlp("ffn_up", p.feedForward[layer]);
  }
  Rows mlp(Rows, Gate) { return mlp("ffn_up", p.feedForward[layer]); }
  /// The first half of the rows is the gate.
  Rows fusedGatedMlp(Rows, const char *name, Gate) { return mlp(name, 2 * uint64_t(p.feedForward[layer])); }
  Rows mlp(const char *name, uint64_t out) {
    linear(at + name, p.width, out);
    linear(at + "ffn_down", p.feedForward[layer], p.width);
    return {p.width};
  }
  /// One MLP, or experts where the model has them: of each projection a stack of weights.
  Rows feedForward(Rows x, Gate gate) {
    if (p.experts == 0)
      return gatedMlp(x, gate);
    need(at + "ffn_gate_inp.weight", {p.width, p.experts});
    stack(at + "ffn_gate_exps", p.width, p.expertWidth);
    stack(at + "ffn_up_exps", p.width, p.expertWidth);
    stack(at + "ffn_down_exps", p.expertWidth, p.width);
    if (p.sharedWidth) {
      need(at + "ffn_gate_inp_shexp.weight", {p.width});
      for (const char *name : {"ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"})
        scale(at + name);
      need(at + "ffn_gate_shexp.weight", {p.width, p.sharedWidth});
      need(at + "ffn_up_shexp.weight", {p.width, p.sharedWidth});
      need(at + "ffn_down_shexp.weight", {p.sharedWidth, p.width});
    }
    if (p.family->expertBias) {
      need(at + "ffn_gate_inp.bias", {p.experts});
      need(at + "ffn_gate_exps.bias", {p.expertWidth, p.experts});
      need(at + "ffn_up_exps.bias", {p.expertWidth, p.experts});
      need(at + "ffn_down_exps.bias", {p.width, p.experts});
    }
    return {p.width};
  }
  Rows add(Rows stream, Rows) { return stream; }

  /// What stands around the layers of an encoder. Of the segments, of which a file has as many as it likes, texts have
  /// the first.
  void encoder() {
    need("token_embd.weight", {p.width, p.vocabulary});
    need("position_embd.weight", {p.width, p.context});
    layerNormed("token_embd_norm");
    if (const StoredTensor *segments = checkpoint.tensor("token_types.weight"))
      allow("token_types.weight", {p.width, std::max<uint64_t>(segments->dims[1], 1)});
    layers();
  }

  void model() {
    if (p.family->encoder)
      return encoder();
    need("token_embd.weight", {p.width, p.vocabulary});
    if (p.family->learnedPositions)
      need("position_embd.weight", {p.width, p.context});
    if (p.family->norms == Norms::Rms)
      need("output_norm.weight", {p.width});
    else
      layerNormed("output_norm");
    allow("output.weight", {p.width, p.vocabulary});
    scale("output");
    allow("output.bias", {p.vocabulary});
    if (p.rope.longFactors) {
      need("rope_factors_long.weight", {p.rope.dimensions / 2});
      need("rope_factors_short.weight", {p.rope.dimensions / 2});
    } else if (p.family->rotates()) {
      allow("rope_freqs.weight", {p.rope.dimensions / 2});
    }
    for (const char *name : {"rope_factors_long.weight", "rope_factors_short.weight", "rope_freqs.weight"})
      if (read.count(name))
        factors(name);
    layers();
  }

  void layers() {
    for (layer = 0; layer < p.layers && status; ++layer) {
      at = "blk." + std::to_string(layer) + ".";
      describeLayer(*p.family, *this, Rows{p.width});
    }
    if (status)
      status = others();
  }

  /// What the family does not read would change the model that it was written for: refused, with the first few names.
  Status others() const {
    constexpr size_t named = 5;
    const StoredTensor *first = nullptr;
    std::string list;
    size_t count = 0;
    for (const StoredTensor &tensor : checkpoint.tensors()) {
      if (read.count(std::string(tensor.name)) ||
          std::any_of(std::begin(harmlessTensors), std::end(harmlessTensors),
                      [&](const auto &each) { return endsWith(tensor.name, each.ending); }))
        continue;
      first = first ? first : &tensor;
      if (++count <= named)
        list += (list.empty() ? "'" : ", '") + printable(tensor.name) + "'";
    }
    if (count == 0)
      return Done{};
    return fail(ErrorCode::ModelTensorUnread,
                "%s: offset %" PRIu64
                ": expects tensors that the family %s with %u layers reads, but got %zu that it does "
                "not: %s%s",
                checkpoint.path().c_str(), first->offset, p.architecture.c_str(), p.layers, count, list.c_str(),
                count > named ? ", ..." : "");
  }
};

} // namespace

Result<const StoredTensor *> optionalTensor(const Checkpoint &checkpoint, std::string_view name,
                                            std::initializer_list<uint64_t> dims) {
  const StoredTensor *tensor = checkpoint.tensor(name);
  if (!tensor)
    return tensor;
  uint64_t expected[4] = {1, 1, 1, 1};
  std::copy_n(dims.begin(), std::min<size_t>(dims.size(), 4), expected);
  if (!std::equal(expected, expected + 4, tensor->dims))
    return fail(ErrorCode::ModelTensorShape, "%s: offset %" PRIu64 ": tensor '%s': expects shape %s, but got %s",
                checkpoint.path().c_str(), tensor->offset, printable(name).c_str(),
                shapeText(expected, static_cast<int>(dims.size())).c_str(),
                shapeText(tensor->dims, tensor->rank).c_str());
  return tensor;
}

Result<const StoredTensor *> requireTensor(const Checkpoint &checkpoint, std::string_view name,
                                           std::initializer_list<uint64_t> dims) {
  Result<const StoredTensor *> tensor = optionalTensor(checkpoint, name, dims);
  if (tensor && !*tensor)
    return fail(ErrorCode::ModelTensorMissing, "%s: tensor '%s': expects it among the %zu tensors, but it is missing",
                checkpoint.path().c_str(), printable(name).c_str(), checkpoint.tensors().size());
  return tensor;
}

Result<std::vector<double>> rotaryFactors(const Checkpoint &checkpoint, std::string_view name, uint64_t count) {
  Result<const StoredTensor *> tensor = requireTensor(checkpoint, name, {count});
  if (!tensor)
    return tensor.error();
  const BlockFormat *format = blockFormat((*tensor)->storage);
  const std::string label =
      checkpoint.path() + ": offset " + std::to_string((*tensor)->offset) + ": tensor '" + printable(name) + "'";
  if (!format || count % format->elements != 0)
    return fail(ErrorCode::RopeFactor, "%s: expects whole blocks, but got %" PRIu64 " values of %s", label.c_str(),
                count, format ? format->name : "an unknown type");
  std::vector<float> values(count);
  decode(*format, (*tensor)->data, count / format->elements, values.data());
  for (size_t k = 0; k < count; ++k)
    if (!std::isfinite(values[k]) || values[k] <= 0)
      return fail(ErrorCode::RopeFactor, "%s: expects positive and finite factors, but got %g at element %zu",
                  label.c_str(), double(values[k]), k);
  return std::vector<double>(values.begin(), values.end());
}

Status checkTensors(const Checkpoint &checkpoint, const ModelParameters &parameters) {
  Checker checker{checkpoint, parameters};
  checker.model();
  return checker.status;
}

/// What is not finite of a block whose scale is no binary16, or 0: a weight, the product of three numbers.
static float infiniteWeight(const BlockFormat &format, const BlockFields &fields, float rowScale) {
  if (format.storage != Storage::MXFP4 && !format.floatScales)
    return 0; // 65504 times any scale and code is finite
  for (int i = 0; i < format.elements; ++i) {
    const float scale = fields.d * rowScale * scaleOf(format, fields.scales[i / format.group]);
    if (const float value = scale * static_cast<float>(format.table[fields.codes[i]]); !std::isfinite(value))
      return value;
  }
  return 0;
}

Status checkFinite(const Checkpoint &checkpoint) {
  BlockFields fields;
  std::vector<uint8_t> room;
  for (const StoredTensor &tensor : checkpoint.tensors()) {
    const BlockFormat *format = blockFormat(tensor.storage);
    if (!format || (!tensor.data && !tensor.source))
      continue;
    Result<std::vector<float>> scales = checkpoint.rowScales(tensor, 0, tensor.rows());
    if (!scales)
      return scales.error();
    const uint8_t *rows = nullptr;
    constexpr uint64_t together = 64; // rows that are made from the same pages
    const uint64_t rowBytes = tensor.rowBytes(), some = together * rowBytes;
    for (uint64_t at = 0; at < tensor.bytes; at += format->bytes) {
      if (at % some == 0)
        rows = tensor.read(at / rowBytes, std::min(together, tensor.rows() - at / rowBytes), room);
      const uint8_t *block = rows + at % some;
      float value = 0;
      const char *what = format->isQuantised() ? "block scale" : "weight";
      if (tensor.source && tensor.storage == Storage::MXFP4 && *block == 255) { // NaN in a folder, 2^128 in GGUF
        value = std::numeric_limits<float>::quiet_NaN();
      } else if (format->isQuantised()) {
        readFields(*format, block, fields);
        value = std::isfinite(fields.d) ? fields.m : fields.d;
        if (std::isfinite(value)) {
          value = infiniteWeight(*format, fields, scales->empty() ? 1 : (*scales)[at / rowBytes]);
          what = "product of a code and its scales";
        }
      } else {
        decode(*format, block, 1, &value);
      }
      if (!std::isfinite(value)) {
        const std::string place = tensor.source ? "row " + std::to_string(at / rowBytes) + ", column " +
                                                      std::to_string(at % rowBytes / format->bytes * format->elements)
                                                : "offset " + std::to_string(tensor.offset + at);
        return fail(ErrorCode::ModelTensorNotFinite, "%s: %s: tensor '%s': %s: expects a finite %s, but got %g",
                    checkpoint.path().c_str(), place.c_str(), printable(tensor.name).c_str(), format->name, what,
                    value);
      }
    }
  }
  return Done{};
}

} // namespace stepdown
