#include "runtime/Speculation/Speculation.h"

#include <algorithm>

namespace stepdown {

/// What steps of these sizes may take while nothing is measured, in steps of one token: little, so that they are tried.
static constexpr double expected[] = {1, 1.3, 1.7, 2.5, 4};

static constexpr uint32_t forgetAfter = 256; ///< steps

Speculation::Speculation(std::unique_ptr<Drafter> drafter, size_t most, int32_t vocabulary, bool adapts)
    : source(std::move(drafter)), most(std::min(most, limit)), vocabulary(vocabulary), adapts(adapts) {}

size_t Speculation::Size::of(size_t tokens) {
  size_t size = 0;
  while (size_t(1) << size < tokens)
    ++size;
  return size;
}

// Of a size that is not measured: half of what the next smaller one says that its guesses take, or what is expected.
double Speculation::secondsOf(size_t size) const {
  const double plain = sizes[0].seconds;
  if (sizes[size].seconds > 0 || !size)
    return sizes[size].seconds;
  size_t known = size - 1;
  while (known && !(sizes[known].seconds > 0))
    --known;
  if (!known)
    return plain * expected[size];
  const double guesses = double((size_t(1) << size) - 1) / double((size_t(1) << known) - 1);
  return std::max(sizes[known].seconds, plain + (sizes[known].seconds - plain) * guesses / 2);
}

size_t Speculation::worthwhile(size_t room, double rate) const {
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

size_t Speculation::tryNow(size_t room) {
  const bool hopeless = !worthwhile(room, 1); // even if all were right
  if (waited++ < (hopeless ? longestPause : pause) && (hopeless || wanted == 1))
    return 0;
  return hopeless ? 1 : std::min(wanted, room);
}

void Speculation::guess(size_t room, std::vector<int32_t> &next) {
  given.clear();
  reading = false;
  room = std::min(room, most);
  if (error || !room)
    return;
  // Two steps show what one token takes, the first of which may have been a cold one.
  if (adapts && (counts.steps < 2 || sizes[0].age >= plainEvery))
    return;
  size_t count = adapts ? worthwhile(room, right / tried) : room;
  trying = !count;
  if (trying)
    count = tryNow(room);
  if (!count)
    return;
  if (Status drafted = source->draft(count, given); !drafted) {
    error = drafted.error();
    given.clear();
  }
  reading = source->reads();
  const auto known = [this](int32_t id) { return id >= 0 && id < vocabulary; };
  given.erase(std::find_if_not(given.begin(), given.end(), known), given.end());
  given.resize(std::min(given.size(), count));
  next.insert(next.end(), given.begin(), given.end());
}

void Speculation::verified(size_t checked, size_t accepted, double seconds) {
  ++counts.steps;
  counts.guessed += given.size();
  counts.accepted += accepted;
  for (Size &size : sizes) // what was measured long ago, or while the machine was busy, is measured once more
    if (++size.age >= forgetAfter && &size != &sizes[0])
      size.seconds = 0;
  if (!reading) {
    Size &size = sizes[Size::of(1 + given.size())];
    // A step that was held up tells little.
    const bool first = !(size.seconds > 0) || counts.steps == 2;
    size.seconds = first ? seconds : size.seconds + (std::min(seconds, 2 * size.seconds) - size.seconds) / 4;
    size.age = 0;
  }
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
