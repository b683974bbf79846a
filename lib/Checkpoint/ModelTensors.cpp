// Tensors against hyper-parameters: each tensor a family needs is there and has the shape that its parameters give it.
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/ModelParameters.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <iterator>
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
};

bool endsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

/// Checks the tensors of one model, remembering the first refusal, so that the lists below read as lists.
struct Checker {
  const Gguf &gguf;
  const ModelParameters &p;
  Status status = Done{};
  std::unordered_set<std::string> read = {}; // every name that the family may have

  void need(const std::string &name, std::initializer_list<uint64_t> dims) {
    read.insert(name);
    if (status)
      if (auto tensor = requireTensor(gguf, name, dims); !tensor)
        status = tensor.error();
  }
  void allow(const std::string &name, std::initializer_list<uint64_t> dims) {
    read.insert(name);
    if (status)
      if (auto tensor = optionalTensor(gguf, name, dims); !tensor)
        status = tensor.error();
  }
  /// A linear weight [out, in] and, as the family has it, its bias.
  void linear(const std::string &name, uint64_t in, uint64_t out, bool bias = false) {
    need(name + ".weight", {in, out});
    if (bias)
      need(name + ".bias", {out});
    else
      allow(name + ".bias", {out});
  }

  void attention(const std::string &at, uint32_t layer) {
    uint64_t q = p.queryWidth(layer), kv = p.keyWidth(layer);
    need(at + "attn_norm.weight", {p.width});
    if (gguf.tensor(at + "attn_qkv.weight")) {
      linear(at + "attn_qkv", p.width, q + 2 * kv, p.family == Family::Qwen2);
    } else {
      linear(at + "attn_q", p.width, q, p.family == Family::Qwen2);
      linear(at + "attn_k", p.width, kv, p.family == Family::Qwen2);
      linear(at + "attn_v", p.width, kv, p.family == Family::Qwen2);
    }
    if (p.family == Family::Qwen3 || p.family == Family::Gemma3) {
      need(at + "attn_q_norm.weight", {p.headSize});
      need(at + "attn_k_norm.weight", {p.headSize});
    }
    allow(at + "attn_sinks.weight", {p.heads[layer]});
    linear(at + "attn_output", q, p.width);
    if (p.family == Family::Gemma3)
      need(at + "post_attention_norm.weight", {p.width});
  }

  void feedForward(const std::string &at, uint32_t layer) {
    uint64_t inner = p.feedForward[layer];
    need(at + "ffn_norm.weight", {p.width});
    if (p.family == Family::Phi3) {
      linear(at + "ffn_up", p.width, 2 * inner); // the first half of the rows is the gate
    } else {
      linear(at + "ffn_gate", p.width, inner);
      linear(at + "ffn_up", p.width, inner);
    }
    linear(at + "ffn_down", inner, p.width);
    if (p.family == Family::Gemma3)
      need(at + "post_ffw_norm.weight", {p.width});
  }

  void model() {
    need("token_embd.weight", {p.width, p.vocabulary});
    need("output_norm.weight", {p.width});
    allow("output.weight", {p.width, p.vocabulary});
    allow("output.bias", {p.vocabulary});
    if (p.rope.longFactors) {
      need("rope_factors_long.weight", {p.rope.dimensions / 2});
      need("rope_factors_short.weight", {p.rope.dimensions / 2});
    } else {
      allow("rope_freqs.weight", {p.rope.dimensions / 2});
    }
    for (uint32_t i = 0; i < p.layers && status; ++i) {
      std::string at = "blk." + std::to_string(i) + ".";
      attention(at, i);
      feedForward(at, i);
    }
    if (status)
      status = others();
  }

  /// What the family does not read would change the model that it was written for: refused, with the first few names.
  Status others() const {
    constexpr size_t named = 5;
    const GgufTensor *first = nullptr;
    std::string list;
    size_t count = 0;
    for (const GgufTensor &tensor : gguf.tensors()) {
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
                gguf.file().path().c_str(), first->offset, p.architecture.c_str(), p.layers, count, list.c_str(),
                count > named ? ", ..." : "");
  }
};

} // namespace

Result<const GgufTensor *> optionalTensor(const Gguf &gguf, std::string_view name,
                                          std::initializer_list<uint64_t> dims) {
  const GgufTensor *tensor = gguf.tensor(name);
  if (!tensor)
    return tensor;
  uint64_t expected[4] = {1, 1, 1, 1};
  std::copy_n(dims.begin(), std::min<size_t>(dims.size(), 4), expected);
  if (!std::equal(expected, expected + 4, tensor->dims))
    return fail(ErrorCode::ModelTensorShape, "%s: offset %" PRIu64 ": tensor '%s': expects shape %s, but got %s",
                gguf.file().path().c_str(), tensor->offset, printable(name).c_str(),
                shapeText(expected, static_cast<int>(dims.size())).c_str(),
                shapeText(tensor->dims, tensor->rank).c_str());
  return tensor;
}

Result<const GgufTensor *> requireTensor(const Gguf &gguf, std::string_view name,
                                         std::initializer_list<uint64_t> dims) {
  Result<const GgufTensor *> tensor = optionalTensor(gguf, name, dims);
  if (tensor && !*tensor)
    return fail(ErrorCode::ModelTensorMissing, "%s: tensor '%s': expects it among the %zu tensors, but it is missing",
                gguf.file().path().c_str(), printable(name).c_str(), gguf.tensors().size());
  return tensor;
}

Status checkTensors(const Gguf &gguf, const ModelParameters &parameters) {
  Checker checker{gguf, parameters};
  checker.model();
  return checker.status;
}

Status checkFinite(const Gguf &gguf) {
  BlockFields fields;
  for (const GgufTensor &tensor : gguf.tensors()) {
    const BlockFormat *format = blockFormat(tensor.storage);
    if (!format || !tensor.data)
      continue;
    for (uint64_t at = 0; at < tensor.bytes; at += format->bytes) {
      float value = 0;
      if (format->isQuantised()) {
        readFields(*format, tensor.data + at, fields);
        value = std::isfinite(fields.d) ? fields.m : fields.d;
      } else {
        decode(*format, tensor.data + at, 1, &value);
      }
      if (!std::isfinite(value))
        return fail(ErrorCode::ModelTensorNotFinite,
                    "%s: offset %" PRIu64 ": tensor '%s': %s: expects a finite %s, but got %g",
                    gguf.file().path().c_str(), tensor.offset + at, printable(tensor.name).c_str(), format->name,
                    format->isQuantised() ? "block scale" : "weight", value);
    }
  }
  return Done{};
}

} // namespace stepdown
