// Any text as a grammar in one of the four notations (the first byte says which): refused with a number of its own, or
// compiled, and then a random text of it is one that it accepts.
#include "lib/Grammar/Constraint.h"
#include "lib/Grammar/Sample.h"
#include <cstdlib>

using namespace stepdown;
using namespace stepdown::grammar;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  const std::string text(reinterpret_cast<const char *>(data) + 1, size - 1);
  auto network = compileConstraint(static_cast<Notation>(data[0] % 4), text);
  if (!network) {
    const int number = static_cast<int>(network.error().code);
    if (number < 1301 || number > 1316 || network.error().message.empty())
      std::abort();
    return 0;
  }
  std::mt19937_64 random(size);
  auto drawn = RandomTexts(*network).bytes(random, 64);
  if (!drawn) {
    if (drawn.error().code != ErrorCode::ConstraintParses)
      std::abort();
    return 0;
  }
  Matcher matcher(*network);
  if (matcher.accept(*drawn) != drawn->size() || !matcher.mayEnd())
    std::abort();
  return 0;
}
