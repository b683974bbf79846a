#include "runtime/Speculation/NgramDrafter.h"

#include <algorithm>

namespace stepdown {

int32_t NgramText::operator[](size_t i) const {
  const size_t first = before ? before->own.size() : 0; // which has nothing before it
  return i < first ? before->own[i] : own[i - first];
}

uint64_t NgramText::hash(size_t length) const {
  uint64_t sum = length;
  for (size_t i = size() - length; i < size(); ++i)
    sum = (sum ^ static_cast<uint32_t>((*this)[i])) * 0x9E3779B97F4A7C15u;
  return sum ^ sum >> 32;
}

// Runs are noted when their next token comes: a run that nothing follows is no guess.
void NgramText::add(int32_t id) {
  for (size_t length = 1; length <= std::min(ends.size(), size()); ++length)
    ends[length - 1][hash(length)] = static_cast<uint32_t>(size());
  own.push_back(id);
}

bool NgramText::endsAlike(size_t end, size_t length) const {
  for (size_t i = 1; i <= length; ++i)
    if ((*this)[end - i] != (*this)[size() - i])
      return false; // other tokens with the same hash
  return true;
}

size_t NgramText::find(size_t length) const {
  const uint64_t wanted = hash(length);
  for (const NgramText *part : {this, before.get()}) {
    if (!part)
      continue;
    const auto found = part->ends[length - 1].find(wanted);
    if (found != part->ends[length - 1].end() && endsAlike(found->second, length))
      return found->second;
  }
  return 0;
}

void NgramDrafter::read(const int32_t *ids, size_t count) {
  if (!latest || !count || text.size()) {
    for (size_t i = 0; i < count; ++i)
      text.add(ids[i]);
    return;
  }
  std::lock_guard<std::mutex> lock(latest->mutex);
  std::shared_ptr<const NgramText> prompt = latest->prompt.lock();
  if (!prompt || !prompt->is(ids, count)) {
    auto made = std::make_shared<NgramText>(longest);
    for (size_t i = 0; i < count; ++i)
      made->add(ids[i]);
    latest->prompt = prompt = std::move(made);
  }
  text = NgramText(longest, std::move(prompt));
}

Status NgramDrafter::draft(size_t most, std::vector<int32_t> &guesses) {
  for (size_t length = std::min(longest, text.size()); length >= std::min<size_t>(2, longest) && length; --length) {
    const size_t from = text.find(length), first = guesses.size();
    if (!from)
      continue;
    // What repeats with a short period goes on from its own guesses.
    for (size_t i = from; i < from + most; ++i)
      guesses.push_back(i < text.size() ? text[i] : guesses[first + i - text.size()]);
    break;
  }
  return Done{};
}

} // namespace stepdown
