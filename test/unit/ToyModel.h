// A whole model of whole numbers in an artifact, and its logits computed plainly from the tokens alone.
#pragma once
#include "test/unit/ArtifactBuilder.h"
#include <string>
#include <utility>
#include <vector>

namespace stepdown::test {

struct ToyModel {
  uint32_t vocabulary = 41, width = 4, layers = 2, maxContext = 256, maxStepTokens = 64, maxStepRows = 16;
  uint32_t window = 0;         ///< of a second cache group, which every second layer uses; 0: one group
  uint32_t idleDispatches = 0; ///< empty kernels added to each layer

  std::string architecture = "toy"; ///< of its metadata

  std::string chatTemplate = "{% for m in messages %}{{ m.role[0] }} {{ m.content }}{{ eos_token }}{% endfor %}"
                             "{% if add_generation_prompt %}a {% endif %}"; ///< empty: none

  std::vector<std::pair<int32_t, std::string>> words, controls; ///< tokens of other texts than pieces(); control tokens

  ArtifactBuilder build() const;
  std::string write() const { return temporaryFile(build().file(), ".stepdown"); }
  /// Logits [vocabulary] after `tokens`.
  std::vector<float> logits(const std::vector<int32_t> &tokens) const;

  /// The texts of its tokens: unknown, <s>, </s>, a space, a to z, the three bytes of the euro sign, and w33 ... w40.
  static std::vector<std::string> pieces();

  std::vector<float> embedding() const;                                      ///< [vocabulary, width]
  uint32_t windowOf(uint32_t layer) const { return layer % 2 ? window : 0; } ///< 0: none
};

} // namespace stepdown::test
