#include "runtime/Sampler/SamplingOptions.h"

#include "lib/Base/Suggestion.h"
#include <algorithm>

namespace stepdown {
namespace {

struct Range {
  const char *name;
  double value, low, high;
  bool openLow; ///< `low` itself is refused
};

} // namespace

const std::vector<SamplingField> &samplingFields() {
  static const std::vector<SamplingField> fields = {
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                     \
  {#NAME, &SamplingOptions::FIELD, nullptr, ARGUMENT, MEANING},
#define STEPDOWN_SAMPLING_WHOLE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                    \
  {#NAME, nullptr, &SamplingOptions::FIELD, ARGUMENT, MEANING},
#include "runtime/Sampler/SamplingOptions.def"
  };
  return fields;
}

Status checkRanges(const SamplingOptions &options) {
  const Range ranges[] = {
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                     \
  {#NAME, options.FIELD, LOW, HIGH, false},
#define STEPDOWN_SAMPLING_SHARE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                    \
  {#NAME, options.FIELD, LOW, HIGH, true},
#define STEPDOWN_SAMPLING_WHOLE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                    \
  {#NAME, double(options.FIELD), LOW, HIGH, false},
#include "runtime/Sampler/SamplingOptions.def"
  };
  for (const Range &r : ranges)
    if (!(r.value >= r.low && r.value <= r.high) || (r.openLow && r.value == r.low))
      return fail(ErrorCode::SamplingOption, "expects %s in %c%g, %g], but got %g", r.name, r.openLow ? '(' : '[',
                  r.low, r.high, r.value);
  return Done{};
}

const std::vector<std::string> &samplingStepNames() {
  static const std::vector<std::string> names = {
#define STEPDOWN_SAMPLING_STEP(STEP, NAME, MEANING) NAME,
#include "runtime/Sampler/SamplingOptions.def"
  };
  return names;
}

Result<std::vector<SamplingStep>> samplingOrder(const std::string &text) {
  const std::vector<std::string> &names = samplingStepNames();
  std::vector<SamplingStep> order;
  for (size_t at = 0; at <= text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    std::string name = text.substr(at, comma - at);
    std::replace(name.begin(), name.end(), '_', '-');
    auto known = std::find(names.begin(), names.end(), name);
    if (known == names.end())
      return fail(ErrorCode::SamplingOption,
                  "sampling_order: expects names of sampling steps with commas between, but got \"%s\"%s",
                  name.substr(0, 60).c_str(), suggestion(name, names).c_str());
    order.push_back(static_cast<SamplingStep>(known - names.begin()));
    at = comma + 1;
  }
  return order;
}

const std::vector<SamplingStep> &defaultOrder() {
  static const std::vector<SamplingStep> order = {
#define STEPDOWN_SAMPLING_STEP(STEP, NAME, MEANING) SamplingStep::STEP,
#include "runtime/Sampler/SamplingOptions.def"
  };
  return order;
}

const std::vector<SamplingStep> &temperatureLast() {
  static const std::vector<SamplingStep> order = {
      SamplingStep::LogitBias, SamplingStep::Penalties,  SamplingStep::Dry,  SamplingStep::TopNSigma,
      SamplingStep::TopK,      SamplingStep::Typical,    SamplingStep::TopP, SamplingStep::MinP,
      SamplingStep::Xtc,       SamplingStep::Temperature};
  return order;
}

} // namespace stepdown
