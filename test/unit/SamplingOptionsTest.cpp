// docs/sampling.md says what SamplingOptions.def says.
#include "runtime/Sampler/SamplingOptions.h"
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

using namespace stepdown;

namespace {

std::string page() {
  std::ifstream file(STEPDOWN_SOURCE_DIR "/docs/sampling.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The rows of the table under `heading`, each with its end of line.
std::string rowsUnder(const std::string &text, const std::string &heading) {
  const size_t at = text.find(heading);
  if (at == std::string::npos)
    return "no table " + heading;
  const size_t rows = text.find('\n', text.find('\n', at) + 1) + 1; // behind the line of dashes
  return text.substr(rows, text.find("\n\n", rows) + 1 - rows);
}

TEST(SamplingOptions, DocumentedWithDefaultAndLimits) {
  const SamplingOptions defaults;
  std::string rows;
  for (const SamplingField &field : samplingFields()) {
    char number[40];
    std::snprintf(number, sizeof number, "%.6g", field.real ? double(defaults.*field.real) : defaults.*field.whole);
    const std::string range = field.range();
    rows += std::string("| `") + field.name + "` | " + number + " | " + range.substr(range.find_first_of("[(")) +
            " | " + field.meaning + " |\n";
  }
  EXPECT_EQ(rowsUnder(page(), "| option | default | range | meaning |"), rows);
}

TEST(SamplingOptions, DocumentedInTheDefaultOrder) {
  std::string steps;
  for (const std::string &name : samplingStepNames())
    steps += (steps.empty() ? "" : ",") + name;
  EXPECT_NE(page().find("`" + steps + "`"), std::string::npos) << "expects the default order `" << steps << "`";
}

} // namespace
