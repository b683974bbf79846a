// A row in its two forms: dense, the whole vocabulary as the model wrote it, and sparse, the candidates that are left.
//
// The trick that keeps sampling cheap at 262,144 logits: one pass notes the maximum of every 128 logits. The k-th
// largest of those maxima is a lower bound for the k-th largest logit, so a top-k, a top-p or a min-p touches again
// only the few blocks that can hold a survivor. Nothing sorts the vocabulary (MassCut.cpp finds where a mass is
// reached), and candidates are always in ascending id.
#include "runtime/Sampler/RowPasses.h"
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <limits>

namespace stepdown {

namespace {
constexpr float nothing = -std::numeric_limits<float>::infinity();
}

bool Sampler::findMaxima(Row &row) {
  row.maximaValid = true;
  return rowPasses().blockMaxima(row.dense, columns, blockMaxima.data());
}

float Sampler::peak(Row &row) {
  float best = nothing;
  if (row.sparse) {
    for (size_t i = 0; i < row.kept; ++i)
      best = std::max(best, candidates[i].logit);
    return best;
  }
  if (!row.maximaValid)
    findMaxima(row);
  for (size_t b = 0; b < blockMaxima.size(); ++b)
    best = std::max(best, blockMaxima[b]);
  return best * row.scale;
}

void Sampler::makeEditable(Row &row) {
  if (row.sparse)
    return;
  row.maximaValid = false;
  if (row.dense == work.data() && row.scale == 1.0f)
    return;
  for (int32_t i = 0; i < columns; ++i)
    work[i] = row.dense[i] * row.scale;
  row.dense = work.data();
  row.scale = 1.0f;
}

bool Sampler::touchesMuch(const Row &row, float threshold) const {
  size_t count = 0;
  for (size_t b = 0; b < blockMaxima.size(); ++b)
    count += blockMaxima[b] * row.scale >= threshold;
  return count > blockMaxima.size() / 8;
}

void Sampler::maskBelow(Row &row, float threshold) {
  for (int32_t i = 0; i < columns; ++i) {
    float logit = row.dense[i] * row.scale;
    work[i] = logit >= threshold ? logit : nothing;
  }
  row.dense = work.data();
  row.scale = 1.0f;
  row.maximaValid = false;
}

void Sampler::keepAbove(Row &row, float threshold) {
  size_t kept = 0;
  if (row.sparse) {
    for (size_t i = 0; i < row.kept; ++i)
      if (candidates[i].logit >= threshold)
        candidates[kept++] = candidates[i];
    row.kept = kept;
    return;
  }
  if (!row.maximaValid)
    findMaxima(row);
  for (size_t b = 0; b < blockMaxima.size(); ++b) {
    if (!(blockMaxima[b] * row.scale >= threshold))
      continue;
    int32_t end = std::min<int64_t>(columns, int64_t(b + 1) * rowBlock);
    for (int32_t id = b * rowBlock; id < end; ++id) {
      float logit = row.dense[id] * row.scale;
      candidates[kept] = {id, logit}; // a branch would be mistaken half the time
      kept += logit >= threshold && logit > nothing;
    }
  }
  row.sparse = true;
  row.kept = kept;
}

void Sampler::makeSparse(Row &row) {
  if (!row.sparse)
    keepAbove(row, nothing);
}

void Sampler::keepLargest(Row &row, size_t k) {
  if (!row.sparse) {
    size_t blocks = blockMaxima.size();
    if (!row.maximaValid)
      findMaxima(row);
    float lower = nothing;
    if (k <= blocks) {
      std::copy_n(blockMaxima.data(), blocks, scratch.data());
      std::nth_element(scratch.data(), scratch.data() + (k - 1), scratch.data() + blocks, std::greater<float>());
      lower = scratch[k - 1] * row.scale;
    }
    keepAbove(row, lower);
  }
  if (row.kept <= k)
    return;
  for (size_t i = 0; i < row.kept; ++i)
    scratch[i] = candidates[i].logit;
  std::nth_element(scratch.data(), scratch.data() + (k - 1), scratch.data() + row.kept, std::greater<float>());
  float last = scratch[k - 1];
  size_t above = 0;
  for (size_t i = 0; i < row.kept; ++i)
    above += candidates[i].logit > last;
  size_t ties = k - above, kept = 0;
  for (size_t i = 0; i < row.kept; ++i) {
    Candidate c = candidates[i];
    if (c.logit > last || (c.logit == last && ties > 0)) {
      ties -= c.logit == last;
      candidates[kept++] = c;
    }
  }
  row.kept = kept;
}

/// exp(logit - highest) of each candidate of a sparse row, in `scratch`.
const float *Sampler::candidateWeights(Row &row, float highest) {
  for (size_t i = 0; i < row.kept; ++i)
    scratch[i] = candidates[i].logit;
  rowPasses().exponentials(scratch.data(), row.kept, 1.0f, highest, scratch.data());
  return scratch.data();
}

double Sampler::mass(Row &row, float highest) {
  if (!row.sparse)
    return rowPasses().expSum(row.dense, columns, row.scale, highest);
  for (size_t i = 0; i < row.kept; ++i)
    scratch[i] = candidates[i].logit;
  return rowPasses().expSum(scratch.data(), row.kept, 1.0f, highest);
}

/// The inverse of the cumulative distribution, in ascending id, at `uniform` of [0, 1).
int32_t Sampler::pick(Row &row, double uniform) {
  float highest = peak(row);
  if (row.sparse) {
    const float *weight = candidateWeights(row, highest);
    double total = 0;
    for (size_t i = 0; i < row.kept; ++i)
      total += weight[i];
    double left = uniform * total;
    int32_t last = candidates[row.kept - 1].id;
    for (size_t i = 0; i < row.kept; ++i) {
      if (weight[i] > 0)
        last = candidates[i].id;
      if (left < weight[i])
        return last;
      left -= weight[i];
    }
    return last;
  }
  // Sums by 1024 first, then the one block in which the point lies.
  constexpr size_t wide = 1024;
  size_t blocks = (columns + wide - 1) / wide;
  double total = 0;
  for (size_t b = 0; b < blocks; ++b) {
    size_t n = std::min<size_t>(wide, columns - b * wide);
    double sum = rowPasses().expSum(row.dense + b * wide, n, row.scale, highest);
    total += sum;
    keyed[b].weight = static_cast<float>(sum);
  }
  // The stored sums are rounded to float; adding the same rounded sums keeps the walk consistent with its total.
  total = 0;
  for (size_t b = 0; b < blocks; ++b)
    total += keyed[b].weight;
  double left = uniform * total;
  size_t block = 0, lastBlock = 0;
  for (; block < blocks; ++block) {
    if (keyed[block].weight > 0)
      lastBlock = block;
    if (left < keyed[block].weight)
      break;
    left -= keyed[block].weight;
  }
  if (block == blocks)
    block = lastBlock;
  size_t n = std::min<size_t>(wide, columns - block * wide);
  rowPasses().exponentials(row.dense + block * wide, n, row.scale, highest, scratch.data());
  int32_t last = -1;
  for (size_t i = 0; i < n; ++i) {
    if (scratch[i] > 0)
      last = static_cast<int32_t>(block * wide + i);
    if (left < scratch[i])
      break;
    left -= scratch[i];
  }
  return last;
}

} // namespace stepdown
