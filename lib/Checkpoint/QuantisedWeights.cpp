#include "lib/Checkpoint/QuantisedWeights.h"
#include "lib/Checkpoint/BlockEncoder.h"
#include "lib/Checkpoint/GgufShard.h"
#include <algorithm>
#include <cmath>

namespace stepdown {
namespace {

/// The linears of a layer, by GGUF's names without "blk.N." and ".weight".
constexpr std::string_view kLinears[] = {
    "attn_q",   "attn_k",        "attn_v",      "attn_qkv",      "attn_output",    "ffn_gate",     "ffn_up",
    "ffn_down", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"};

/// The layer and the name of a linear "blk.7.attn_q.weight"; a name that is empty: none.
std::pair<uint64_t, std::string_view> linearOf(std::string_view tensor) {
  constexpr std::string_view kBegin = "blk.", kEnd = ".weight";
  const size_t dot = tensor.find('.', kBegin.size());
  if (tensor.substr(0, kBegin.size()) != kBegin || dot == tensor.npos || tensor.size() < dot + 1 + kEnd.size() ||
      tensor.substr(tensor.size() - kEnd.size()) != kEnd)
    return {};
  const std::string_view name = tensor.substr(dot + 1, tensor.size() - kEnd.size() - dot - 1);
  if (std::find(std::begin(kLinears), std::end(kLinears), name) == std::end(kLinears))
    return {};
  return {std::strtoull(std::string(tensor.substr(kBegin.size(), dot - kBegin.size())).c_str(), nullptr, 10), name};
}

/// The layers whose attn_v and ffn_down llama.cpp's Q4_K_M and Q5_K_M give more bits: the first and the last eighth,
/// and every third between (llama-quant.cpp, use_more_bits, of 0.3.36's source).
bool hasMoreBits(uint64_t layer, uint64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// The type for rows of `columns`, where `wanted` has blocks of 256 and the rows do not: that of 32 which llama.cpp
/// takes.
Storage fitting(Storage wanted, uint64_t columns) {
  if (columns % uint64_t(blockFormat(wanted)->elements) == 0)
    return wanted;
  return wanted == Storage::Q4_K ? Storage::Q5_0 : wanted == Storage::Q5_K ? Storage::Q5_1 : Storage::Q8_0;
}

} // namespace

const std::vector<Quantisation> &quantisations() {
  static const std::vector<Quantisation> all = {
      {"q4_0", Storage::Q4_0, Storage::Q6_K, false, "4.5 bits a weight, head in q6_k"},
      {"q4_1", Storage::Q4_1, Storage::Q6_K, false, "5 bits, head in q6_k"},
      {"q4_k", Storage::Q4_K, Storage::Q6_K, false, "4.5 bits, head in q6_k"},
      {"q4_k_m", Storage::Q4_K, Storage::Q6_K, true, "q4_k, with q6_k for attn_v and ffn_down of half of the layers"},
      {"q5_0", Storage::Q5_0, Storage::Q6_K, false, "5.5 bits, head in q6_k"},
      {"q5_1", Storage::Q5_1, Storage::Q6_K, false, "6 bits, head in q6_k"},
      {"q5_k", Storage::Q5_K, Storage::Q6_K, false, "5.5 bits, head in q6_k"},
      {"q5_k_m", Storage::Q5_K, Storage::Q6_K, true, "q5_k, with q6_k for attn_v and ffn_down of half of the layers"},
      {"q6_k", Storage::Q6_K, Storage::Q6_K, false, "6.6 bits"},
      {"q8_0", Storage::Q8_0, Storage::Q8_0, false, "8.5 bits"}};
  return all;
}

const Quantisation *quantisationNamed(const std::string &name) {
  for (const Quantisation &each : quantisations())
    if (each.name == name)
      return &each;
  return nullptr;
}

class QuantisedWeights::Weight : public BlockSource {
public:
  Weight(const QuantisedWeights &owner, const StoredTensor &base, Storage storage)
      : owner(owner), base(base), storage(storage) {}

  void read(uint64_t first, uint64_t count, uint8_t *out) const override {
    const BlockFormat &from = *blockFormat(base.storage), &to = *blockFormat(storage);
    const uint64_t columns = base.dims[0], blocks = columns / to.elements;
    std::vector<uint8_t> room;
    std::vector<float> row(columns);
    for (uint64_t r = first; r < first + count; ++r, out += blocks * to.bytes) {
      decode(from, base.read(r, 1, room), columns / from.elements, row.data());
      bool sound = std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
      if (sound) {
        encode(storage, row.data(), blocks, out);
        decode(to, out, blocks, row.data()); // a scale may be beyond what binary16 holds
        sound = std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
      }
      if (sound)
        continue;
      std::fill(out, out + blocks * to.bytes, uint8_t(0));
      const Weight *none = nullptr;
      owner.unsound.compare_exchange_strong(none, this);
    }
  }

  StoredTensor tensor() const { return base.madeBy(*this, storage); }

  std::string_view name() const { return base.name; }

private:
  const QuantisedWeights &owner;
  const StoredTensor base;
  const Storage storage;
};

QuantisedWeights::QuantisedWeights(const Quantisation &how) : chosen(how) {}
QuantisedWeights::~QuantisedWeights() = default;

Result<std::shared_ptr<QuantisedWeights>> QuantisedWeights::quantise(Checkpoint &checkpoint, const Quantisation &how) {
  std::shared_ptr<QuantisedWeights> made(new QuantisedWeights(how));
  made->name = checkpoint.path();
  uint64_t layers = 0;
  for (const StoredTensor &tensor : checkpoint.tensors())
    if (const auto [layer, linear] = linearOf(tensor.name); !linear.empty())
      layers = std::max(layers, layer + 1);
  const bool tied = !checkpoint.tensor("output.weight");
  bool floats = false;
  for (const StoredTensor &tensor : checkpoint.tensors()) {
    const auto [layer, linear] = linearOf(tensor.name);
    const bool head = tensor.name == "output.weight" || (tied && tensor.name == "token_embd.weight");
    if (tensor.rank < 2 || blockFormat(tensor.storage)->isQuantised() ||
        (linear.empty() && !head && tensor.name != "token_embd.weight"))
      continue;
    floats = true;
    const bool more =
        how.moreBits && (linear == "attn_v" || linear.substr(0, 8) == "ffn_down") && hasMoreBits(layer, layers);
    const Storage storage = fitting(head || more ? how.head : how.storage, tensor.dims[0]);
    if (tensor.dims[0] % uint64_t(blockFormat(storage)->elements) != 0) {
      made->kept.emplace_back(tensor.name);
      continue;
    }
    ++made->counts[blockFormat(storage)->name];
    made->weights.push_back(std::make_unique<Weight>(*made, tensor, storage));
  }
  if (made->weights.empty())
    return fail(ErrorCode::CompileOption, "%s: expects weights of floats for --quantize=%s, but %s",
                checkpoint.path().c_str(), how.name,
                floats ? "none has rows of whole blocks of 32" : "its linears are in blocks already");
  CheckpointBuilder builder(std::move(checkpoint));
  for (const std::unique_ptr<Weight> &weight : made->weights)
    builder.replace(weight->tensor());
  builder.keep(made);
  checkpoint = builder.finish();
  return made;
}

Status QuantisedWeights::check() const {
  const Weight *weight = unsound;
  return weight
             ? fail(ErrorCode::ModelTensorNotFinite,
                    "%s: tensor '%s': expects weights that %s holds, but got one that is infinite, no number, or too "
                    "large for the scale of a block",
                    name.c_str(), printable(weight->name()).c_str(), blockFormat(weight->tensor().storage)->name)
             : Status(Done{});
}

} // namespace stepdown
