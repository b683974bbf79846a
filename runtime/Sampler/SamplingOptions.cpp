#include "runtime/Sampler/SamplingOptions.h"

#include "lib/Base/Suggestion.h"
#include <algorithm>
#include <cstdio>

namespace stepdown {
const std::vector<SamplingField> &samplingFields() {
  static const std::vector<SamplingField> fields = {
#define STEPDOWN_SAMPLING_REAL(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                     \
  {#NAME, &SamplingOptions::FIELD, nullptr, LOW, HIGH, false, ARGUMENT, MEANING},
#define STEPDOWN_SAMPLING_SHARE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                    \
  {#NAME, &SamplingOptions::FIELD, nullptr, LOW, HIGH, true, ARGUMENT, MEANING},
#define STEPDOWN_SAMPLING_WHOLE(FIELD, NAME, ARGUMENT, DEFAULT, LOW, HIGH, MEANING)                                    \
  {#NAME, nullptr, &SamplingOptions::FIELD, LOW, HIGH, false, ARGUMENT, MEANING},
#include "runtime/Sampler/SamplingOptions.def"
  };
  return fields;
}

std::string SamplingField::range() const {
  char text[80];
  const int digits = real ? 6 : 10; // of an int32_t, all; of a float, what a person wrote
  std::snprintf(text, sizeof text, "%s in %c%.*g, %.*g]", name, openLow ? '(' : '[', digits, low, digits, high);
  return text;
}

Status SamplingField::set(SamplingOptions &options, double value) const {
  const double held = real ? static_cast<double>(static_cast<float>(value)) : value;
  if (!(held >= low && held <= high) || (openLow && held == low))
    return fail(ErrorCode::SamplingOption, "expects %s, but got %.*g", range().c_str(), real ? 6 : 10, value);
  if (real)
    options.*real = static_cast<float>(value);
  else
    options.*whole = static_cast<int32_t>(value);
  return Done{};
}

Status checkRanges(const SamplingOptions &options) {
  SamplingOptions scratch;
  for (const SamplingField &field : samplingFields())
    if (Status ok = field.set(scratch, field.real ? double(options.*field.real) : double(options.*field.whole)); !ok)
      return ok;
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
