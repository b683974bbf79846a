// The steps that change logits of tokens seen before: penalties, DRY and bias; and the memory of what was seen.
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <cmath>

namespace stepdown {

/// Changes the logit of one id in an editable row, if it is still there.
template <typename Change> void Sampler::edit(Row &row, int32_t id, Change change) {
  if (!row.sparse) {
    work[id] = change(work[id]);
    return;
  }
  Candidate *begin = candidates.data(), *end = begin + row.kept;
  Candidate *at = std::lower_bound(begin, end, id, [](const Candidate &c, int32_t id) { return c.id < id; });
  if (at != end && at->id == id)
    at->logit = change(at->logit);
}

void Sampler::applyBias(Row &row) {
  if (settings.logitBias.empty())
    return;
  makeEditable(row);
  for (auto [id, bias] : settings.logitBias)
    edit(row, id, [bias = bias](float logit) { return logit + bias; });
}

void Sampler::applyPenalties(Row &row) {
  float repetition = settings.repetitionPenalty, presence = settings.presencePenalty;
  float frequency = settings.frequencyPenalty;
  if ((repetition == 1 && presence == 0 && frequency == 0) || distinctCount == 0)
    return;
  makeEditable(row);
  for (size_t i = 0; i < distinctCount; ++i) {
    int32_t id = distinct[i], times = answered[id];
    edit(row, id, [&](float logit) {
      logit = logit > 0 ? logit / repetition : logit * repetition;
      return times > 0 ? logit - frequency * static_cast<float>(times) - presence : logit;
    });
  }
}

/// "Don't repeat yourself" (p-e-w, 2024). With the history reversed, the length of the run that ends at each earlier
/// place and also at the present is the Z function (longest common prefix of the text and each of its suffixes), found
/// for all places in linear time.
void Sampler::applyDry(Row &row) {
  if (settings.dryMultiplier == 0 || accepted == 0)
    return;
  int32_t n = static_cast<int32_t>(std::min<uint64_t>(accepted, settings.dryWindow));
  int32_t limit = n; // a run does not reach over a breaker
  for (int32_t i = 0; i < n; ++i) {
    reversed[i] = history[(accepted - 1 - i) % history.size()].id;
    if (limit == n && breaker[reversed[i]])
      limit = i;
  }
  if (limit == 0)
    return;
  makeEditable(row);
  match[0] = n;
  for (int32_t i = 1, left = 0, right = 0; i < n; ++i) {
    int32_t z = i < right ? std::min(right - i, match[i - left]) : 0;
    while (i + z < n && reversed[z] == reversed[i + z])
      ++z;
    if (i + z > right) {
      left = i;
      right = i + z;
    }
    match[i] = z;
    int32_t &best = longest[reversed[i - 1]];
    best = std::max(best, std::min(z, limit));
  }
  for (int32_t i = 1; i < n; ++i) {
    int32_t id = reversed[i - 1], run = longest[id];
    longest[id] = 0; // also keeps a second occurrence from being punished again
    if (run < settings.dryAllowedLength || run == 0)
      continue;
    float penalty =
        settings.dryMultiplier * std::pow(settings.dryBase, static_cast<float>(run - settings.dryAllowedLength));
    edit(row, id, [penalty](float logit) { return logit - penalty; });
  }
}

void Sampler::count(Slot slot, int32_t sign) {
  int32_t &times = occurrences[slot.id];
  if (times == 0) {
    place[slot.id] = static_cast<int32_t>(distinctCount);
    distinct[distinctCount++] = slot.id;
  }
  times += sign;
  answered[slot.id] += slot.generated ? sign : 0;
  if (times == 0) {
    int32_t moved = distinct[--distinctCount];
    distinct[place[slot.id]] = moved;
    place[moved] = place[slot.id];
  }
}

void Sampler::accept(int32_t id, bool generated) {
  if (id < 0 || id >= columns)
    return; // an id that the model has no logit for can't be drawn, hence not punished
  Slot slot{id, generated};
  if (occurrences.size()) {
    uint64_t window = settings.penaltyWindow;
    if (window > 0 && accepted >= window)
      count(history[(accepted - window) % history.size()], -1);
    count(slot, 1);
  }
  if (!history.empty())
    history[accepted % history.size()] = slot;
  ++accepted;
}

void Sampler::reset() {
  for (size_t i = 0; i < distinctCount; ++i)
    occurrences[distinct[i]] = answered[distinct[i]] = 0;
  distinctCount = 0;
  accepted = 0;
  bound = 2 * settings.mirostatTau;
}

} // namespace stepdown
