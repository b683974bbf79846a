#include "runtime/Grammar/Constraint.h"

#include <algorithm>

namespace stepdown {

ConstraintVocabulary::ConstraintVocabulary(const Tokenizer &tokenizer, int32_t columns) : texts(columns) {
  std::vector<size_t> ends(columns);
  const int32_t known = std::min(columns, tokenizer.vocabularySize());
  for (int32_t id = 0; id < columns; ++id) {
    if (id < known && tokenizer.isEndOfGeneration(id))
      endIds.push_back(id);
    else if (id < known && !tokenizer.isSpecial(id))
      bytes += tokenizer.piece(id);
    ends[id] = bytes.size();
  }
  for (int32_t id = 0; id < columns; ++id) {
    const size_t begin = id ? ends[id - 1] : 0;
    texts[id] = std::string_view(bytes).substr(begin, ends[id] - begin);
  }
  tokens = std::make_shared<const grammar::TokenTree>(texts);
}

static Error tooManyReadings() {
  return fail(ErrorCode::ConstraintParses, "constraint: expects a text that can be read in at most %zu ways at once",
              grammar::Configurations::maxStacks);
}

Status ConstrainedText::accept(int32_t id) {
  const std::string_view text = constraint->vocabulary().text(id);
  return matcher.accept(text) == text.size() ? Status(Done{}) : Status(tooManyReadings());
}

Result<const uint64_t *> ConstrainedText::allowed() {
  if (!constraint->tokenMasks().allowed(matcher, mask))
    return tooManyReadings();
  bool any = false;
  if (matcher.mayEnd() && endsByToken)
    for (int32_t id : constraint->vocabulary().ends()) {
      mask[id / 64] |= uint64_t(1) << (id % 64);
      any = true;
    }
  for (size_t w = 0; w < mask.size() && !any; ++w)
    any = mask[w] != 0;
  if (any)
    return mask.data();
  if (matcher.mayEnd())
    return static_cast<const uint64_t *>(nullptr);
  return fail(ErrorCode::ConstraintTokens, "constraint: expects a token that can follow, but the vocabulary has none");
}

} // namespace stepdown
