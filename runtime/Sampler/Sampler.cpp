// Options checked, memory reserved, and the draw itself: the steps in order, then a number from the generator.
#include "runtime/Sampler/Sampler.h"
#include "runtime/Sampler/Philox.h"
#include "runtime/Sampler/RowPasses.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

namespace stepdown {

namespace {

Status checkIds(const SamplingOptions &o, int32_t vocabulary) {
  for (auto [id, bias] : o.logitBias) {
    if (id < 0 || id >= vocabulary)
      return fail(ErrorCode::SamplingToken, "logit_bias: expects a token id below %d, but got %d", vocabulary, id);
    if (!(bias < std::numeric_limits<float>::infinity()))
      return fail(ErrorCode::SamplingOption, "logit_bias: expects a number or -infinity for token %d, but got %g", id,
                  double(bias));
  }
  for (int32_t id : o.dryBreakers)
    if (id < 0 || id >= vocabulary)
      return fail(ErrorCode::SamplingToken, "dry_breakers: expects a token id below %d, but got %d", vocabulary, id);
  return Done{};
}

} // namespace

Result<Sampler> Sampler::create(const SamplingOptions &options, int32_t vocabulary) {
  if (vocabulary < 1)
    return fail(ErrorCode::SamplingOption, "expects a vocabulary of at least one token, but got %d", vocabulary);
  if (Status ok = checkRanges(options); !ok)
    return ok.error();
  if (Status ok = checkIds(options, vocabulary); !ok)
    return ok.error();
  try {
    Sampler s;
    s.settings = options;
    if (s.settings.order.empty())
      s.settings.order = defaultOrder();
    s.columns = vocabulary;
    size_t n = vocabulary;
    s.work = LazyArray<float, false>(n);
    s.blockMaxima = LazyArray<float, false>((n + rowBlock - 1) / rowBlock);
    s.scratch = LazyArray<float, false>(std::max<size_t>(n, 1024));
    s.keyed = LazyArray<Keyed, false>(n);
    s.ids = LazyArray<int32_t, false>(n);
    s.candidates = LazyArray<Candidate, false>(n);
    bool penalties = options.repetitionPenalty != 1 || options.presencePenalty != 0 || options.frequencyPenalty != 0;
    bool dry = options.dryMultiplier != 0;
    if (penalties)
      for (LazyArray<int32_t, true> *array : {&s.occurrences, &s.answered, &s.distinct, &s.place})
        *array = LazyArray<int32_t, true>(n);
    if (dry) {
      s.longest = LazyArray<int32_t, true>(n);
      s.breaker = LazyArray<uint8_t, true>(n);
      for (int32_t id : options.dryBreakers)
        s.breaker[id] = 1;
      s.reversed.resize(options.dryWindow);
      s.match.resize(options.dryWindow);
    }
    s.history.resize(std::max(penalties ? options.penaltyWindow : 0, dry ? options.dryWindow : 0));
    s.reset();
    return s;
  } catch (const std::bad_alloc &) {
    return fail(ErrorCode::SamplingMemory, "expects memory for a row of %d logits, but the system has none left",
                vocabulary);
  }
}

/// The largest logit after the steps that change logits rather than truncate; the lowest id of equals.
int32_t Sampler::greedy(Row &row) {
  for (SamplingStep step : settings.order)
    if (step == SamplingStep::LogitBias || step == SamplingStep::Penalties || step == SamplingStep::Dry)
      apply(step, row, 0);
  float highest = peak(row);
  if (highest == -std::numeric_limits<float>::infinity())
    return -1;
  size_t block = 0;
  while (blockMaxima[block] != highest)
    ++block;
  int32_t id = block * rowBlock;
  while (row.dense[id] != highest)
    ++id;
  return id;
}

/// Fills `out.top` from the untouched row; returns log of the sum of exponentials.
double Sampler::topTokens(Row row, LogProbabilities &out) {
  float highest = peak(row);
  double logTotal = std::log(mass(row, highest)) + highest;
  keepLargest(row, std::min<size_t>(out.top.size(), columns));
  std::sort(candidates.data(), candidates.data() + row.kept, [](const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  out.count = static_cast<int32_t>(row.kept);
  for (size_t i = 0; i < row.kept; ++i)
    out.top[i] = {candidates[i].id, static_cast<float>(candidates[i].logit - logTotal)};
  return logTotal;
}

Result<int32_t> Sampler::draw(const float *logits, uint64_t request, uint64_t position, LogProbabilities *probabilities,
                              const uint64_t *allowed) {
  Row row{logits, 1.0f, false, false, 0};
  if (!findMaxima(row))
    return fail(ErrorCode::SamplingLogits,
                "request %llu, position %llu: expects logits that are numbers, but got NaN or +infinity",
                static_cast<unsigned long long>(request), static_cast<unsigned long long>(position));
  constexpr float infinite = std::numeric_limits<float>::infinity();
  bool possible = peak(row) > -infinite;
  double logTotal = probabilities && possible ? topTokens(row, *probabilities) : 0;
  if (allowed) {
    for (int32_t begin = 0; begin < columns; begin += 64) {
      // What most of 64 are is done at once, the others one by one.
      const int32_t end = std::min(columns, begin + 64);
      const uint64_t word = allowed[begin / 64] & (end - begin < 64 ? (uint64_t(1) << (end - begin)) - 1 : UINT64_MAX);
      const bool most = __builtin_popcountll(word) >= 32;
      if (most)
        std::copy(logits + begin, logits + end, &work[begin]);
      else
        std::fill(&work[begin], work.data() + end, -infinite);
      for (uint64_t rest = most ? ~word : word; rest; rest &= rest - 1)
        if (const int32_t i = begin + __builtin_ctzll(rest); i < end)
          work[i] = most ? -infinite : logits[i];
    }
    row.dense = work.data();
    row.maximaValid = false;
  }
  int32_t id = -1;
  if (possible && settings.temperature < 1e-5f) {
    id = greedy(row);
  } else if (possible) {
    std::array<uint32_t, 4> random = philox(settings.seed, request, position);
    for (SamplingStep step : settings.order) {
      apply(step, row, uniform(random[2], random[3]));
      float highest = peak(row);
      if (!(highest < infinite)) // bias, penalties and temperature together left the range of float
        return fail(ErrorCode::SamplingLogits,
                    "request %llu, position %llu: expects logits that stay finite, but one is %g",
                    static_cast<unsigned long long>(request), static_cast<unsigned long long>(position),
                    static_cast<double>(highest));
      possible = highest > -infinite;
      if (!possible)
        break;
    }
    if (possible) {
      double u = uniform(random[0], random[1]);
      id = settings.mirostatTau > 0 ? pickMirostat(row, u) : pick(row, u);
    }
  }
  if (id < 0)
    return fail(ErrorCode::SamplingEmpty,
                "request %llu, position %llu: expects a token that may be drawn, but all %d are ruled out",
                static_cast<unsigned long long>(request), static_cast<unsigned long long>(position), columns);
  if (probabilities)
    probabilities->chosen = static_cast<float>(logits[id] - logTotal);
  return id;
}

} // namespace stepdown
