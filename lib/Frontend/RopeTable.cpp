// Frequency tables. Pair k of n rotated columns turns by base^(-2k / n) radians per position. Every scheme changes how
// fast, to make a model read positions beyond those it was trained on: linear turns all pairs slower; the others leave
// the fast pairs (which tell neighbours apart) alone and slow the slow ones, each with its own transition.
#include "lib/Frontend/RopeTable.h"
#include <algorithm>
#include <cmath>

namespace stepdown {
namespace {

constexpr double pi = 3.14159265358979323846;

std::vector<double> plainFrequencies(double base, int dimensions) {
  std::vector<double> inverse(dimensions / 2);
  for (int k = 0; k < dimensions / 2; ++k)
    inverse[k] = std::pow(base, -2.0 * k / dimensions);
  return inverse;
}

/// The pair that turns `rotations` times within `context` positions, as a real number.
double pairOfRotations(double rotations, double context, double base, int dimensions) {
  return dimensions * std::log(context / (rotations * 2 * pi)) / (2 * std::log(base));
}

/// 0.1 m ln f + 1: how much sharper attention becomes over an f times longer context (YaRN, section 3.4).
double yarnMagnitude(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; }

void applyYarn(const RopeTableParameters &p, RopeTable &table) {
  double low = pairOfRotations(p.betaFast, p.originalContext, p.base, p.dimensions);
  double high = pairOfRotations(p.betaSlow, p.originalContext, p.base, p.dimensions);
  if (p.truncate)
    low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, p.dimensions - 1.0);
  // No pair lies between: a step, also where the context is too short for any pair to turn slowly.
  const double span = std::max(high - low, 0.001);
  for (size_t k = 0; k < table.inverseFrequencies.size(); ++k) {
    double interpolated = std::clamp((double(k) - low) / span, 0.0, 1.0);
    double plain = table.inverseFrequencies[k];
    table.inverseFrequencies[k] = plain / p.factor * interpolated + plain * (1 - interpolated);
  }
  table.attentionFactor = p.mscale != 0 && p.mscaleAllDimensions != 0
                              ? yarnMagnitude(p.factor, p.mscale) / yarnMagnitude(p.factor, p.mscaleAllDimensions)
                              : yarnMagnitude(p.factor, 1);
}

void applyLlama3(const RopeTableParameters &p, RopeTable &table) {
  for (double &inverse : table.inverseFrequencies) {
    double turns = p.originalContext * inverse / (2 * pi); // within the original context
    if (turns < p.lowFrequencyFactor) {
      inverse /= p.factor;
    } else if (turns <= p.highFrequencyFactor) {
      double smooth = (turns - p.lowFrequencyFactor) / (p.highFrequencyFactor - p.lowFrequencyFactor);
      inverse = (1 - smooth) * inverse / p.factor + smooth * inverse;
    }
  }
}

} // namespace

RopeTable ropeTable(const RopeTableParameters &p) {
  RopeTable table{plainFrequencies(p.base, p.dimensions), 1};
  switch (p.scheme) {
  case RopeScheme::Default:
    return table;
  case RopeScheme::Linear:
    for (double &inverse : table.inverseFrequencies)
      inverse /= p.factor;
    return table;
  case RopeScheme::DynamicNtk: {
    double length = std::max(p.sequenceLength, p.trainedContext);
    double stretch = p.factor * length / p.trainedContext - (p.factor - 1);
    table.inverseFrequencies =
        plainFrequencies(p.base * std::pow(stretch, p.dimensions / (p.dimensions - 2.0)), p.dimensions);
    return table;
  }
  case RopeScheme::Llama3:
    applyLlama3(p, table);
    return table;
  case RopeScheme::Yarn:
    applyYarn(p, table);
    break;
  case RopeScheme::LongRope: {
    const std::vector<double> &factors = p.sequenceLength > p.originalContext ? p.longFactors : p.shortFactors;
    for (size_t k = 0; k < table.inverseFrequencies.size() && k < factors.size(); ++k)
      table.inverseFrequencies[k] /= factors[k];
    if (p.factor > 1)
      table.attentionFactor = std::sqrt(1 + std::log(p.factor) / std::log(p.originalContext));
    break;
  }
  }
  if (p.attentionFactor)
    table.attentionFactor = *p.attentionFactor;
  return table;
}

Result<RopeTable> ropeTable(const Checkpoint &checkpoint, const ModelParameters &parameters, bool local,
                            uint64_t context) {
  const RopeParameters &rope = parameters.rope;
  RopeTableParameters p;
  const bool scaled = !local || rope.localScaled;
  p.base = local ? rope.localBase : rope.base;
  p.dimensions = rope.dimensions;
  p.factor = rope.factor;
  p.originalContext = double(rope.originalContext);
  p.sequenceLength = double(context);
  p.betaFast = rope.yarnBetaFast;
  p.betaSlow = rope.yarnBetaSlow;
  p.truncate = rope.yarnTruncate;
  if (scaled && rope.scaling == RopeScaling::Linear)
    p.scheme = RopeScheme::Linear;
  else if (scaled && rope.scaling == RopeScaling::Yarn && rope.factor > 1) // a factor of 1 or less is the identity
    p.scheme = RopeScheme::Yarn;
  RopeTable table = ropeTable(p);
  if (p.scheme == RopeScheme::Yarn && rope.yarnLogMultiplier != 0)
    table.attentionFactor /= yarnMagnitude(rope.factor, rope.yarnLogMultiplier);
  if (!scaled)
    return table;
  table.attentionFactor *= rope.attentionFactor;
  const char *factors = nullptr;
  if (rope.longFactors)
    factors = context > rope.originalContext ? "rope_factors_long.weight" : "rope_factors_short.weight";
  else if (rope.frequencyFactors)
    factors = "rope_freqs.weight";
  if (factors) {
    Result<std::vector<double>> divisors = rotaryFactors(checkpoint, factors, rope.dimensions / 2);
    if (!divisors)
      return divisors.error();
    for (size_t k = 0; k < divisors->size(); ++k)
      table.inverseFrequencies[k] /= (*divisors)[k];
  }
  return table;
}

} // namespace stepdown
