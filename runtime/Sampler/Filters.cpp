// The filters that truncate, each as its paper or its first implementation defines it; formulas in Sampler.h.
#include "runtime/Sampler/RowPasses.h"
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace stepdown {

void Sampler::applyTopNSigma(Row &row) {
  float highest = peak(row);
  double finite = 0, sum = 0, squares = 0;
  if (!row.sparse) {
    rowPasses().moments(row.dense, columns, 0.0, finite, sum, squares);
    rowPasses().moments(row.dense, columns, sum / finite, finite, sum, squares);
    squares *= static_cast<double>(row.scale) * row.scale;
  } else {
    finite = static_cast<double>(row.kept);
    for (size_t i = 0; i < row.kept; ++i)
      sum += candidates[i].logit;
    for (size_t i = 0; i < row.kept; ++i)
      squares += (candidates[i].logit - sum / finite) * (candidates[i].logit - sum / finite);
  }
  keepAbove(row, static_cast<float>(highest - settings.topNSigma * std::sqrt(squares / finite)));
}

/// A token's surprise less the entropy is how far its logit lies below the mean of the logits.
void Sampler::applyTypical(Row &row) {
  const float highest = peak(row);
  double total = 0, moment = 0; // of logit - highest
  if (!row.sparse) {
    rowPasses().weigh(row.dense, columns, row.scale, highest, scratch.data(), total, moment);
    return keepNearestDense(row, highest, static_cast<float>(moment / total), settings.typicalP);
  }
  const float *weight = candidateWeights(row, highest);
  for (size_t i = 0; i < row.kept; ++i) {
    total += weight[i];
    moment += static_cast<double>(weight[i]) * (candidates[i].logit - highest);
  }
  keepNearest(row, highest, static_cast<float>(moment / total), settings.typicalP * total);
}

void Sampler::applyTopP(Row &row) {
  const float highest = peak(row);
  double wanted = 0;
  if (row.sparse) {
    wanted = settings.topP * mass(row, highest);
  } else {
    // Mostly, few tokens hold nearly all the mass: those within e^4, e^8, ... of the best are gathered until they hold
    // enough, as long as that touches few blocks.
    const Row dense = row;
    for (float depth = 4.0f; !row.sparse; depth *= 2) {
      if (touchesMuch(row, highest - depth)) {
        rowPasses().exponentials(row.dense, columns, row.scale, highest, scratch.data());
        return keepNearestDense(row, highest, 0, settings.topP);
      }
      if (wanted == 0)
        wanted = settings.topP * mass(row, highest);
      keepAbove(row, highest - depth);
      if (mass(row, highest) < wanted)
        row = dense;
    }
  }
  keepNearest(row, highest, 0, wanted);
}

void Sampler::applyXtc(Row &row, double uniform) {
  if (uniform >= settings.xtcProbability)
    return;
  float highest = peak(row);
  double logTotal = std::log(mass(row, highest)) + highest;
  auto cut = static_cast<float>(logTotal + std::log(static_cast<double>(settings.xtcThreshold)));
  const float nothing = -std::numeric_limits<float>::infinity();
  if (!row.sparse) { // few tokens reach the cut: they alone are touched
    Row likely = row;
    keepAbove(likely, cut);
    if (likely.kept < 2)
      return;
    size_t least = 0;
    for (size_t i = 1; i < likely.kept; ++i)
      least = candidates[i].logit <= candidates[least].logit ? i : least;
    makeEditable(row);
    for (size_t i = 0; i < likely.kept; ++i)
      if (i != least)
        work[candidates[i].id] = nothing;
    return;
  }
  size_t least = row.kept, above = 0;
  for (size_t i = 0; i < row.kept; ++i)
    if (candidates[i].logit >= cut) {
      ++above;
      if (least == row.kept || candidates[i].logit <= candidates[least].logit)
        least = i;
    }
  if (above < 2)
    return;
  size_t kept = 0;
  for (size_t i = 0; i < row.kept; ++i)
    if (i == least || candidates[i].logit < cut)
      candidates[kept++] = candidates[i];
  row.kept = kept;
}

/// Basu, Ramachandran, Keskar, Varshney 2021, "Mirostat", algorithm 2: forget tokens more surprising than the bound,
/// draw, and move the bound by how far the surprise of the drawn token (under the whole distribution) missed the
/// target.
int32_t Sampler::pickMirostat(Row &row, double uniform) {
  const double bits = 0.69314718055994531;
  float highest = peak(row);
  double logTotal = std::log(mass(row, highest)) + highest;
  keepAbove(row, std::min(highest, static_cast<float>(logTotal - bound * bits)));
  int32_t id = pick(row, uniform);
  for (size_t i = 0; i < row.kept; ++i)
    if (candidates[i].id == id) {
      double observed = (logTotal - candidates[i].logit) / bits;
      bound -= static_cast<float>(settings.mirostatEta * (observed - settings.mirostatTau));
    }
  return id;
}

void Sampler::apply(SamplingStep step, Row &row, double uniform) {
  bool truncates = settings.mirostatTau == 0;
  switch (step) {
  case SamplingStep::LogitBias:
    return applyBias(row);
  case SamplingStep::Penalties:
    return applyPenalties(row);
  case SamplingStep::Dry:
    return applyDry(row);
  case SamplingStep::Temperature:
    if (!row.sparse)
      row.scale /= settings.temperature;
    for (size_t i = 0; row.sparse && i < row.kept; ++i)
      candidates[i].logit *= 1.0f / settings.temperature;
    return;
  case SamplingStep::TopNSigma:
    return truncates && settings.topNSigma > 0 ? applyTopNSigma(row) : void();
  case SamplingStep::TopK:
    return truncates && settings.topK > 0 && settings.topK < columns ? keepLargest(row, settings.topK) : void();
  case SamplingStep::Typical:
    return truncates && settings.typicalP < 1 ? applyTypical(row) : void();
  case SamplingStep::TopP:
    return truncates && settings.topP < 1 ? applyTopP(row) : void();
  case SamplingStep::MinP:
    if (truncates && settings.minP > 0) {
      float highest = peak(row), threshold = std::min(highest, highest + std::log(settings.minP));
      if (!row.sparse && touchesMuch(row, threshold))
        maskBelow(row, threshold);
      else
        keepAbove(row, threshold);
    }
    return;
  case SamplingStep::Xtc:
    return truncates && settings.xtcProbability > 0 ? applyXtc(row, uniform) : void();
  }
}

} // namespace stepdown
