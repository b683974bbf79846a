#include "runtime/Speculation/NgramDrafter.h"

#include <algorithm>

namespace stepdown {

uint64_t NgramDrafter::hash(size_t length) const {
  uint64_t sum = length;
  for (size_t i = text.size() - length; i < text.size(); ++i)
    sum = (sum ^ static_cast<uint32_t>(text[i])) * 0x9E3779B97F4A7C15u;
  return sum ^ sum >> 32;
}

void NgramDrafter::read(const int32_t *ids, size_t count) {
  for (size_t i = 0; i < count; ++i)
    heard(ids[i]);
}

// Runs are noted when their next token comes: a run that nothing follows is no guess.
void NgramDrafter::heard(int32_t id) {
  for (size_t length = 1; length <= std::min(longest, text.size()); ++length)
    ends[length - 1][hash(length)] = static_cast<uint32_t>(text.size());
  text.push_back(id);
}

Status NgramDrafter::draft(size_t most, std::vector<int32_t> &guesses) {
  for (size_t length = std::min(longest, text.size()); length >= std::min<size_t>(2, longest) && length; --length) {
    const auto found = ends[length - 1].find(hash(length));
    if (found == ends[length - 1].end())
      continue;
    const size_t from = found->second, first = guesses.size();
    if (!std::equal(text.end() - length, text.end(), text.begin() + (from - length)))
      continue; // other tokens with the same hash
    // What repeats with a short period goes on from its own guesses.
    for (size_t i = from; i < from + most; ++i)
      guesses.push_back(i < text.size() ? text[i] : guesses[first + i - text.size()]);
    break;
  }
  return Done{};
}

} // namespace stepdown
