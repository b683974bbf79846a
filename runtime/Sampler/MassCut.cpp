// The cut by mass: the smallest set of tokens, nearest to a point of the row, that holds a part of the probability.
// Top-p is the cut around the most probable token, locally typical sampling that around the mean.
//
// Nothing is sorted. Of candidates a quickselect that carries sums finds the last survivor in linear time. Of a whole
// row the mass is first added up in 1024 intervals of the distance, so that only the tokens of the interval in which
// the sum is reached are looked at one by one; the row stays dense, because of a flat distribution nearly all of it is
// left.
#include "runtime/Sampler/RowPasses.h"
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <cmath>
#include <limits>

namespace stepdown {

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

/// Where the shortest run of ascending keys whose weights reach `mass` ends among `count` entries, which it shuffles.
/// Expected linear time: quickselect that descends by weight instead of rank.
Sampler::KeyCut Sampler::cutAt(Keyed *all, size_t count, double mass) {
  size_t begin = 0, end = narrow(all, count, mass);
  // Where sums round past the end: all of what is looked at.
  KeyCut cut = {-std::numeric_limits<float>::infinity(), count};
  for (size_t i = 0; i < end; ++i)
    cut.key = std::max(cut.key, all[i].key);
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
      return {pivot, std::max<size_t>(1, static_cast<size_t>(std::ceil((mass - massLess) / each)))};
    } else {
      mass -= massLess + massEqual;
      begin = greater;
    }
  }
  return cut;
}

/// Keeps the smallest set of mass `wanted` (in units of exp(-highest)) whose logits lie nearest to highest + `centre`;
/// the last of equals go by ascending id.
void Sampler::keepNearest(Row &row, float highest, float centre, double wanted) {
  const float *weight = candidateWeights(row, highest);
  for (size_t i = 0; i < row.kept; ++i)
    keyed[i] = {std::fabs(centre - (candidates[i].logit - highest)), weight[i]};
  // The search shuffles, so the keys in candidate order go to `scratch` first.
  for (size_t i = 0; i < row.kept; ++i)
    scratch[i] = keyed[i].key;
  KeyCut cut = cutAt(keyed.data(), row.kept, wanted);
  size_t kept = 0;
  for (size_t i = 0; i < row.kept; ++i)
    if (scratch[i] < cut.key || (scratch[i] == cut.key && cut.ties > 0)) {
      cut.ties -= scratch[i] == cut.key;
      candidates[kept++] = candidates[i];
    }
  row.kept = kept;
}

/// The same for a dense row, whose weights are in `scratch`; `part` is of all of its mass.
void Sampler::keepNearestDense(Row &row, float highest, float centre, double part) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  const RowPasses &passes = rowPasses();
  const KeyOf key = {row.scale, highest, centre};
  double sums[keyIntervals], total = 0;
  passes.addByKey(row.dense, columns, key, scratch.data(), sums);
  for (double sum : sums)
    total += sum;
  double wanted = part * total;
  size_t interval = 0;
  while (interval + 1 < keyIntervals && sums[interval] < wanted)
    wanted -= sums[interval++];
  const size_t found = passes.idsInInterval(row.dense, columns, key, interval, ids.data());
  for (size_t i = 0; i < found; ++i) {
    keyed[i] = {std::fabs(centre - (row.dense[ids[i]] * row.scale - highest)), scratch[ids[i]]};
    scratch[i] = keyed[i].key; // i <= ids[i], so that no weight is lost that is still to be read
  }
  KeyCut cut = cutAt(keyed.data(), found, wanted);
  passes.keepKeys(row.dense, columns, key, found ? cut.key : infinite, work.data());
  for (size_t i = 0; i < found; ++i)
    if (scratch[i] == cut.key && cut.ties-- == 0) {
      ++cut.ties;
      work[ids[i]] = -infinite;
    }
  row.dense = work.data();
  row.scale = 1.0f;
  row.maximaValid = false;
}

} // namespace stepdown
