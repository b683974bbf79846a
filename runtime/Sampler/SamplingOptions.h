// How tokens are drawn: what a request can say about it. The fields come from SamplingOptions.def, and so do the
// options, JSON fields and C structure in which others say them.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace stepdown {

/// The steps from logits to a token; SamplingOptions.def has their formulas.
enum class SamplingStep : uint8_t {
#define STEPDOWN_SAMPLING_STEP(STEP, NAME, MEANING) STEP, ///< MEANING
#include "runtime/Sampler/SamplingOptions.def"
};

struct SamplingOptions {
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING) float FIELD = DEFAULT;
#define STEPDOWN_SAMPLING_WHOLE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING) int32_t FIELD = DEFAULT;
#include "runtime/Sampler/SamplingOptions.def"
  std::vector<int32_t> dryBreakers;                 ///< ids that end a run (newline, colon, quote, star ...)
  std::vector<std::pair<int32_t, float>> logitBias; ///< (id, addend); -infinity forbids a token
  uint64_t seed = 0;
  std::vector<SamplingStep> order; ///< empty: the default order; steps that it does not name are not applied
};

/// A field that is one number, as tables of options have it, whatever road they come by: `real` or `whole`, the other
/// is null.
struct SamplingField {
  const char *name; ///< "top_n_sigma"
  float SamplingOptions::*real;
  int32_t SamplingOptions::*whole;
  double low, high; ///< of its values
  bool openLow;     ///< `low` itself is none
  const char *argument, *meaning;
  /// "top_p in (0, 1]"
  std::string range() const;
  /// Gives the field `value`; E0701 where that is outside the range, or NaN.
  Status set(SamplingOptions &options, double value) const;
};
const std::vector<SamplingField> &samplingFields();

/// E0701 for a number outside its range, as SamplingOptions.def has it.
Status checkRanges(const SamplingOptions &options);

/// "bias", "penalties" ...: the steps' names in the default order.
const std::vector<std::string> &samplingStepNames();
/// The steps of "bias,top-k,temperature"; E0701 for a name that is none.
Result<std::vector<SamplingStep>> samplingOrder(const std::string &names);

/// The order used where `SamplingOptions::order` is empty.
const std::vector<SamplingStep> &defaultOrder();
/// penalties, DRY, top-n-sigma, top-k, typical, top-p, min-p, XTC, temperature: the order of llama.cpp.
const std::vector<SamplingStep> &temperatureLast();

} // namespace stepdown
