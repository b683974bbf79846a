#include "runtime/Speculation/Speculation.h"

#include <algorithm>

namespace stepdown {

/// What steps of these sizes may take while that is not measured, in steps of one token: little, so that they are.
static constexpr double expected[] = {1, 1.3, 1.7, 2.5, 4};

Speculation::Speculation(std::unique_ptr<Drafter> drafter, size_t most, int32_t vocabulary, bool adapts)
    : source(std::move(drafter)), most(std::min(most, limit)), vocabulary(vocabulary), adapts(adapts) {}

size_t Speculation::Size::of(size_t tokens) {
  size_t size = 0;
  while (size_t(1) << size < tokens)
    ++size;
  return size;
}

double Speculation::secondsOf(size_t size) const {
  if (sizes[size].seconds > 0 || !size)
    return sizes[size].seconds;
  return std::max(secondsOf(size - 1), sizes[0].seconds * expected[size]);
}

size_t Speculation::worthwhile(size_t room) const {
  const double rate = right / tried;
  size_t best = 0;
  double fastest = 1 / secondsOf(0), tokens = 1, last = 1;
  for (size_t n = 1; n <= room; ++n) {
    tokens += last *= rate;
    if (n != room && Size::of(n + 1) == Size::of(n + 2))
      continue; // one more costs the same
    if (const double speed = tokens / secondsOf(Size::of(n + 1)); speed > fastest) {
      fastest = speed;
      best = n;
    }
  }
  return best;
}

void Speculation::guess(size_t room, std::vector<int32_t> &next) {
  given.clear();
  room = std::min(room, most);
  if (error || !room)
    return;
  // Two steps show what one token takes, the first of which may have been a cold one.
  if (adapts && (counts.steps < 2 || sizes[0].age >= plainEvery))
    return;
  size_t count = adapts ? worthwhile(room) : room;
  trying = !count;
  if (trying) {
    if (waited++ < pause && wanted == 1)
      return;
    count = std::min(wanted, room);
  }
  if (Status drafted = source->draft(count, given); !drafted) {
    error = drafted.error();
    given.clear();
  }
  const auto known = [this](int32_t id) { return id >= 0 && id < vocabulary; };
  given.erase(std::find_if_not(given.begin(), given.end(), known), given.end());
  given.resize(std::min(given.size(), count));
  next.insert(next.end(), given.begin(), given.end());
}

void Speculation::verified(size_t checked, size_t accepted, double seconds) {
  ++counts.steps;
  counts.guessed += given.size();
  counts.accepted += accepted;
  for (Size &size : sizes)
    ++size.age;
  Size &size = sizes[Size::of(1 + given.size())];
  // A step that was held up tells little.
  const bool first = !(size.seconds > 0) || counts.steps == 2;
  size.seconds = first ? seconds : size.seconds + (std::min(seconds, 2 * size.seconds) - size.seconds) / 4;
  size.age = 0;
  for (size_t i = 0; i < checked; ++i) {
    right = right * memory + (i < accepted ? 1 : 0);
    tried = tried * memory + 1;
  }
  if (!checked)
    return;
  waited = 0;
  const bool good = accepted == given.size();
  wanted = good ? std::min(2 * wanted + 1, limit) : 1;
  if (!trying)
    pause = firstPause;
  else if (!good)
    pause = std::min(2 * pause, longestPause);
}

} // namespace stepdown
