// Sampler: one row of logits -> one token id.
//
// A request states which filters it wants (SamplingOptions); the sampler applies those that are not neutral, in the
// order of `order`, and draws from what is left. The default order is
//
//   logit bias -> penalties -> DRY -> temperature -> top-n-sigma -> top-k -> typical -> top-p -> min-p -> XTC -> draw
//
// so that top-p, typical, min-p and XTC see the distribution at the temperature that is drawn from. Other runtimes put
// the temperature last; `temperatureLast()` is their order.
//
// A draw is a pure function of (logits, options, history, seed, request, position): the random numbers come from a
// counter-based generator (Philox.h), never from a state that other requests advance, and candidates are always
// visited in ascending id. Ties are won by the lower id.
//
// One sampler serves one sequence: it remembers the tokens that `accept` showed it, for the penalties and DRY. A copy
// is a fork. After construction nothing is allocated; memory for the whole vocabulary is reserved then, and becomes
// resident only where it is touched.
#pragma once
#include "lib/Base/Result.h"
#include "runtime/Sampler/LazyArray.h"
#include "runtime/Sampler/SamplingOptions.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace stepdown {

struct TokenLogProbability {
  int32_t id;
  float value; ///< natural logarithm
};

/// Log-probabilities under the model itself: log softmax of the logits as they were given, before any step.
struct LogProbabilities {
  float chosen = 0;
  int32_t count = 0;                       ///< of `top`; 20, or the vocabulary if that is smaller
  std::array<TokenLogProbability, 20> top; ///< descending; ties by ascending id
};

class Sampler {
public:
  /// E0701 for an option out of its range, E0702 for a token id outside the vocabulary. `vocabulary`: columns of a row.
  static Result<Sampler> create(const SamplingOptions &options, int32_t vocabulary);

  /// Draws the token at `position` of `request` from `logits` (float32 [vocabulary]); fills `probabilities` if given.
  /// `allowed`, if given, is a bit set over ids (bit i % 64 of word i / 64); others can't be drawn.
  /// E0703: a logit is NaN or +infinity. E0704: no token can be drawn (all are -infinity or not allowed).
  Result<int32_t> draw(const float *logits, uint64_t request, uint64_t position,
                       LogProbabilities *probabilities = nullptr, const uint64_t *allowed = nullptr);

  /// Tells the penalties and DRY of the next token: of the prompt (`generated` false), or of the answer.
  void accept(int32_t id, bool generated = true);
  /// Forgets all tokens and mirostat's estimate.
  void reset();

  /// Mirostat's running bound on the surprise, in bits: what else a sampler knows beside the tokens it accepted.
  float surprise() const { return bound; }
  void setSurprise(float bits) { bound = bits; }

  const SamplingOptions &options() const { return settings; }

private:
  struct Candidate {
    int32_t id;
    float logit;
  };
  struct Keyed {
    float key, weight;
  };
  /// The largest key that is kept, and how many of those that are equal to it.
  struct KeyCut {
    float key;
    size_t ties;
  };
  struct Slot {
    int32_t id;
    bool generated;
  };
  /// The row as it is filtered: all of the vocabulary (`dense`, times `scale`) until a step truncates it, from then on
  /// the first `kept` entries of `candidates`.
  struct Row {
    const float *dense; ///< [vocabulary]
    float scale;        ///< a temperature that is not yet multiplied in
    bool maximaValid;   ///< `blockMaxima` describes `dense`
    bool sparse;
    size_t kept;
  };

  Sampler() = default;
  // Rows.cpp: the row in its two forms
  bool findMaxima(Row &row);
  float peak(Row &row);
  void makeEditable(Row &row);
  void makeSparse(Row &row);
  void keepAbove(Row &row, float threshold);
  bool touchesMuch(const Row &row, float threshold) const;
  void maskBelow(Row &row, float threshold);
  void keepLargest(Row &row, size_t k);
  double mass(Row &row, float highest);
  const float *candidateWeights(Row &row, float highest);
  int32_t pick(Row &row, double uniform);
  // MassCut.cpp
  static KeyCut cutAt(Keyed *all, size_t count, double mass);
  void keepNearest(Row &row, float highest, float centre, double wanted);
  void keepNearestDense(Row &row, float highest, float centre, double part);
  // Filters.cpp
  void apply(SamplingStep step, Row &row, double uniform);
  void applyTopNSigma(Row &row);
  void applyTypical(Row &row);
  void applyTopP(Row &row);
  void applyXtc(Row &row, double uniform);
  int32_t pickMirostat(Row &row, double uniform);
  // Penalties.cpp
  template <typename Change> void edit(Row &row, int32_t id, Change change);
  void applyBias(Row &row);
  void applyPenalties(Row &row);
  void applyDry(Row &row);
  void count(Slot slot, int32_t sign);

  int32_t greedy(Row &row);
  double topTokens(Row row, LogProbabilities &out);

  SamplingOptions settings;
  int32_t columns = 0;
  float bound = 0; ///< mirostat's running bound on the surprise, bits

  LazyArray<float, false> work;           ///< [vocabulary], a row that steps have changed
  LazyArray<float, false> blockMaxima;    ///< [vocabulary / 128, rounded up]
  LazyArray<float, false> scratch;        ///< [vocabulary], values that are partitioned
  LazyArray<Keyed, false> keyed;          ///< [vocabulary], keys and weights that are partitioned
  LazyArray<int32_t, false> ids;          ///< [vocabulary], of `keyed`, where that is a part of a dense row
  LazyArray<Candidate, false> candidates; ///< [vocabulary], ascending id
  LazyArray<int32_t, true> occurrences;   ///< [vocabulary], in prompt and answer
  LazyArray<int32_t, true> answered;      ///< [vocabulary], in the answer
  LazyArray<int32_t, true> distinct;      ///< [vocabulary], ids with occurrences, unordered
  LazyArray<int32_t, true> place;         ///< [vocabulary], index in `distinct`
  size_t distinctCount = 0;
  std::vector<Slot> history;            ///< ring of the last tokens
  uint64_t accepted = 0;                ///< tokens so far
  LazyArray<uint8_t, true> breaker;     ///< [vocabulary], 1: ends a run of DRY
  LazyArray<int32_t, true> longest;     ///< [vocabulary], 0 but while DRY works
  std::vector<int32_t> reversed, match; ///< [dryWindow]
};

} // namespace stepdown
