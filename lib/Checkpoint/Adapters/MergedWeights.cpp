#include "lib/Checkpoint/Adapters/MergedWeights.h"
#include "lib/Checkpoint/GgufShard.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

namespace stepdown {
namespace {

/// A float32 as the two bytes of a bfloat16, to nearest even.
uint16_t toBFloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value))
    return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Whether what is stored of `value` is a finite number.
bool store(Storage storage, double value, uint8_t *out) {
  const float rounded = static_cast<float>(value);
  if (storage == Storage::F32) {
    std::memcpy(out, &rounded, sizeof rounded);
    return std::isfinite(rounded);
  }
  const bool half = storage == Storage::F16;
  const uint16_t bits = half ? f32ToF16(rounded) : toBFloat16(rounded), exponent = half ? 0x7c00 : 0x7f80;
  std::memcpy(out, &bits, sizeof bits);
  return (bits & exponent) != exponent;
}

} // namespace

class MergedWeights::Weight : public BlockSource {
public:
  explicit Weight(const MergedWeights &owner, const StoredTensor &base) : owner(owner), base(base) {}

  void read(uint64_t first, uint64_t count, uint8_t *out) const override {
    const BlockFormat &format = *blockFormat(base.storage);
    const uint64_t columns = base.dims[0];
    const size_t size = blockFormat(storage())->bytes;
    std::vector<uint8_t> room;
    std::vector<float> row(columns);
    std::vector<double> sum(columns);
    bool sound = true;
    for (uint64_t r = first; r < first + count; ++r) {
      decode(format, base.read(r, 1, room), columns / format.elements, row.data());
      std::copy(row.begin(), row.end(), sum.begin());
      for (const auto &[linear, scale] : parts)
        add(*linear, scale, r, sum);
      for (uint64_t c = 0; c < columns; ++c, out += size)
        sound &= store(storage(), sum[c], out);
    }
    if (!sound) {
      const Weight *none = nullptr;
      owner.unsound.compare_exchange_strong(none, this);
    }
  }

  StoredTensor tensor() const { return base.madeBy(*this, storage()); }

  std::string_view name() const { return base.name; }
  void merge(const AdaptedLinear &linear, double scale) { parts.emplace_back(&linear, scale * linear.scale); }

private:
  Storage storage() const { return blockFormat(base.storage)->isQuantised() ? Storage::F16 : base.storage; }

  static void add(const AdaptedLinear &linear, double scale, uint64_t row, std::vector<double> &sum) {
    for (uint64_t k = 0; k < linear.rank; ++k) {
      const double factor = scale * double(linear.b[row * linear.rank + k]);
      const float *a = linear.a.data() + k * linear.in;
      for (uint64_t c = 0; c < linear.in; ++c)
        sum[c] += factor * double(a[c]);
    }
    if (linear.magnitudes.empty())
      return;
    double squares = 0;
    for (double value : sum)
      squares += value * value;
    const double factor = double(linear.magnitudes[row]) / std::sqrt(squares);
    for (double &value : sum)
      value *= factor;
  }

  const MergedWeights &owner;
  const StoredTensor base;
  std::vector<std::pair<const AdaptedLinear *, double>> parts; // in the order of the adapters
};

Result<AdapterChoice> parseAdapterChoice(const std::string &text) {
  AdapterChoice choice{text, 1};
  if (const size_t at = text.rfind('='); at != text.npos && at + 1 < text.size()) {
    char *end = nullptr;
    const double scale = std::strtod(text.c_str() + at + 1, &end);
    if (*end == '\0') {
      if (!std::isfinite(scale))
        return fail(ErrorCode::Usage, "adapter: expects FILE or FILE=SCALE with a finite number, but got '%s'",
                    printable(text).c_str());
      choice = {text.substr(0, at), scale};
    }
  }
  if (choice.path.empty())
    return fail(ErrorCode::Usage, "adapter: expects FILE or FILE=SCALE, but got '%s'", printable(text).c_str());
  return choice;
}

Result<std::shared_ptr<MergedWeights>> MergedWeights::merge(Checkpoint &checkpoint,
                                                            const std::vector<AdapterChoice> &choices) {
  auto made = std::make_shared<MergedWeights>();
  made->chosen = choices;
  made->name = checkpoint.path();
  for (const AdapterChoice &choice : choices) {
    Result<Adapter> adapter = openAdapter(choice.path, checkpoint);
    if (!adapter)
      return adapter.error();
    made->read.push_back(std::move(*adapter));
  }
  std::map<std::string_view, Weight *> known;
  for (size_t i = 0; i < choices.size(); ++i)
    for (const AdaptedLinear &linear : made->read[i].linears) {
      Weight *&weight = known[linear.tensor];
      if (!weight) {
        Result<const StoredTensor *> scale = checkpoint.scaleOf(*checkpoint.tensor(linear.tensor));
        if (!scale)
          return scale.error();
        if (*scale)
          return fail(
              ErrorCode::AdapterModel,
              "%s: tensors of '%s': expects a weight to merge into, but '%s' is multiplied by '%s', which a merged "
              "weight has no place for",
              made->read[i].path.c_str(), linear.theirs.c_str(), printable(linear.tensor).c_str(),
              printable((*scale)->name).c_str());
        made->weights.push_back(std::make_unique<Weight>(*made, *checkpoint.tensor(linear.tensor)));
        weight = made->weights.back().get();
      }
      weight->merge(linear, choices[i].scale);
    }
  CheckpointBuilder builder(std::move(checkpoint));
  for (const std::unique_ptr<Weight> &weight : made->weights)
    builder.replace(weight->tensor());
  builder.keep(made);
  checkpoint = builder.finish();
  return made;
}

Status MergedWeights::check() const {
  const Weight *weight = unsound;
  return weight ? fail(ErrorCode::AdapterNumber,
                       "%s: tensor '%s': expects merged weights that %s holds, but got one that is infinite or no "
                       "number",
                       name.c_str(), printable(weight->name()).c_str(), blockFormat(weight->tensor().storage)->name)
                : Status(Done{});
}

} // namespace stepdown
