// A constraint on the answers of one model: a grammar (lib/Grammar) and the tokens that spell its texts. An answer
// under it draws tokens of the mask alone; tokens that end a text are in it where the text may end.
#pragma once
#include "lib/Grammar/TokenMasks.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include <memory>
#include <string>

namespace stepdown {

/// The tokens of a model that stand for bytes, and those that end a text; made once, used by any number of threads.
class ConstraintVocabulary {
public:
  /// `columns`: of a row of logits. Control tokens spell nothing.
  ConstraintVocabulary(const Tokenizer &tokenizer, int32_t columns);
  const std::shared_ptr<const grammar::TokenTree> &tree() const { return tokens; }
  std::string_view text(int32_t id) const { return texts[id]; }
  const std::vector<std::string_view> &all() const { return texts; } ///< [columns]
  const std::vector<int32_t> &ends() const { return endIds; }

private:
  std::string bytes;
  std::vector<std::string_view> texts;
  std::vector<int32_t> endIds;
  std::shared_ptr<const grammar::TokenTree> tokens;
};

/// Shared by answers, sessions and threads.
class Constraint {
public:
  Constraint(std::shared_ptr<const grammar::Network> network, std::shared_ptr<const ConstraintVocabulary> vocabulary)
      : words(std::move(vocabulary)), masks(std::move(network), words->tree()) {}
  const ConstraintVocabulary &vocabulary() const { return *words; }
  grammar::TokenMasks &tokenMasks() { return masks; }

private:
  const std::shared_ptr<const ConstraintVocabulary> words;
  grammar::TokenMasks masks;
};

/// One answer under a constraint.
class ConstrainedText {
public:
  /// Without `mayEnd`, tokens that end a text are never drawn.
  ConstrainedText(std::shared_ptr<Constraint> constraint, bool mayEnd)
      : constraint(std::move(constraint)), matcher(this->constraint->tokenMasks().network()), endsByToken(mayEnd) {}

  /// The tokens that may be drawn next, bit i % 64 of word i / 64, [columns / 64, rounded up]; valid until the next
  /// call. Null where the text is whole and no token is there to end it. E1315, E1316.
  Result<const uint64_t *> allowed();
  /// Tells it of a token that was drawn. E1316 where it cannot follow: the text can be read in too many ways at once.
  Status accept(int32_t id);

private:
  std::shared_ptr<Constraint> constraint;
  grammar::Matcher matcher;
  grammar::Mask mask;
  const bool endsByToken;
};

} // namespace stepdown
