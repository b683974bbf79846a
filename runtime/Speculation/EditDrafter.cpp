#include "runtime/Speculation/EditDrafter.h"

#include <algorithm>

namespace stepdown {

EditedText::EditedText(std::vector<int32_t> tokens) : all(std::move(tokens)) {
  for (size_t i = 1; i < all.size(); ++i)
    places[pair(all[i - 1], all[i])].push_back(static_cast<uint32_t>(i));
}

size_t EditedText::find(int32_t first, int32_t second, size_t near) const {
  const auto found = places.find(pair(first, second));
  if (found == places.end())
    return all.size();
  const std::vector<uint32_t> &here = found->second;
  const auto ahead = std::lower_bound(here.begin(), here.end(), near);
  if (ahead == here.end())
    return here.back();
  if (ahead == here.begin() || *ahead - near <= near - *(ahead - 1))
    return *ahead;
  return *(ahead - 1);
}

void EditDrafter::heard(int32_t id) {
  const std::vector<int32_t> &tokens = text->tokens();
  const int32_t before = last;
  last = id;
  if (place < tokens.size() && tokens[place] == id) {
    ++place;
    parted = false;
    return;
  }
  size_t found = text->find(before, id, place);
  if (found == tokens.size()) {
    const auto begin = tokens.begin() + static_cast<ptrdiff_t>(place);
    const auto end = tokens.begin() + static_cast<ptrdiff_t>(std::min(place + reach, tokens.size()));
    const auto near = std::find(begin, end, id);
    found = near == end ? tokens.size() : static_cast<size_t>(near - tokens.begin());
  }
  if (found < tokens.size())
    place = found + 1;
  else if (!parted && place < tokens.size())
    ++place; // one token may stand in the place of another; what comes in between moves nothing
  parted = found == tokens.size();
}

Status EditDrafter::draft(size_t most, std::vector<int32_t> &guesses) {
  const std::vector<int32_t> &tokens = text->tokens();
  const size_t count = std::min(most, tokens.size() - place);
  guesses.insert(guesses.end(), tokens.begin() + static_cast<ptrdiff_t>(place),
                 tokens.begin() + static_cast<ptrdiff_t>(place + count));
  return Done{};
}

} // namespace stepdown
