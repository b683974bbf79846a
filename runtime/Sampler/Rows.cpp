// A row in its two forms: dense, the whole vocabulary as the model wrote it, and sparse, the candidates that are left.
//
// The trick that keeps sampling cheap at 262,144 logits: one pass notes the maximum of every 128 logits. The k-th
// largest of those maxima is a lower bound for the k-th largest logit, so a top-k, a top-p or a min-p touches again
// only the few blocks that can hold a survivor. Nothing sorts the vocabulary; where a cut by mass is needed, a
// quickselect that carries sums finds the last survivor in linear time, and a stable pass keeps candidates in ascending
// id.
#include "runtime/Sampler/RowPasses.h"
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <cmath>
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
      if (logit >= threshold && logit > nothing)
        candidates[kept++] = {id, logit};
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

/// Where the entries are many: adds up their weights in 1024 intervals of the key, moves the entries of the interval in
/// which the sum reaches `mass` to the front, and takes what lies before it off `mass`. Returns how many are left.
template <typename Entry> static size_t narrow(Entry *all, size_t count, double &mass) {
  if (count < 4096)
    return count;
  constexpr size_t intervals = 1024;
  float low = all[0].key, high = all[0].key;
  for (size_t i = 1; i < count; ++i) {
    low = std::min(low, all[i].key);
    high = std::max(high, all[i].key);
  }
  float unit = intervals / (high - low);
  if (!(unit > 0 && unit < std::numeric_limits<float>::infinity()))
    return count;
  auto intervalOf = [&](const Entry &e) {
    return std::min<size_t>(static_cast<size_t>((e.key - low) * unit), intervals - 1);
  };
  double sums[intervals] = {};
  for (size_t i = 0; i < count; ++i)
    sums[intervalOf(all[i])] += all[i].weight;
  size_t interval = 0;
  while (interval + 1 < intervals && sums[interval] < mass)
    mass -= sums[interval++];
  size_t left = 0;
  for (size_t i = 0; i < count; ++i)
    if (intervalOf(all[i]) == interval)
      all[left++] = all[i];
  return left;
}

/// `keyed` holds one entry a candidate. Keeps the shortest run of ascending keys whose weights reach `mass`; the last
/// of equal keys go by ascending id. Expected linear time: quickselect that descends by weight instead of rank.
void Sampler::keepSmallestKeys(Row &row, double mass) {
  Keyed *all = keyed.data();
  // The partition shuffles, so the keys in candidate order go to `scratch` first.
  for (size_t i = 0; i < row.kept; ++i)
    scratch[i] = all[i].key;
  size_t begin = 0, end = narrow(all, row.kept, mass);
  float cut = -std::numeric_limits<float>::infinity(); // where sums round past the end: all of what is looked at
  for (size_t i = 0; i < end; ++i)
    cut = std::max(cut, all[i].key);
  size_t ties = row.kept;
  while (begin < end) {
    float a = all[begin].key, b = all[begin + (end - begin) / 2].key, c = all[end - 1].key;
    float pivot = std::max(std::min(a, b), std::min(std::max(a, b), c));
    size_t less = begin, greater = end, i = begin; // Dijkstra's three-way partition
    double massLess = 0, massEqual = 0;
    while (i < greater) {
      if (all[i].key < pivot) {
        massLess += all[i].weight;
        std::swap(all[i++], all[less++]);
      } else if (all[i].key > pivot) {
        std::swap(all[i], all[--greater]);
      } else {
        massEqual += all[i++].weight;
      }
    }
    if (massLess >= mass && less > begin) {
      end = less;
    } else if (massLess + massEqual >= mass) {
      double each = massEqual / static_cast<double>(greater - less); // equal keys have equal weights
      cut = pivot;
      ties = std::max<size_t>(1, static_cast<size_t>(std::ceil((mass - massLess) / each)));
      break;
    } else {
      mass -= massLess + massEqual;
      begin = greater;
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < row.kept; ++i)
    if (scratch[i] < cut || (scratch[i] == cut && ties > 0)) {
      ties -= scratch[i] == cut;
      candidates[kept++] = candidates[i];
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
