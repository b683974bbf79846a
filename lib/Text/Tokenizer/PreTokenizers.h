// How byte-level BPE cuts a text into words before it merges: a table from the name in tokenizer.ggml.pre to the
// regular expressions of the models' own tokenizer.json. A wrong cut gives plausible text and wrong ids, so an unknown
// name is an error, never a guess.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

struct PreTokenizer {
  std::vector<const char *> names;
  /// Applied in order; each cuts every piece of the one before into its matches and the gaps between them.
  std::vector<std::string> patterns;
  /// Cut runs of digits from the right into groups of three, after the patterns. superbpe says it as
  /// (?=(\d{3})+(?!\d)), which takes quadratic time as a regular expression.
  bool groupDigits = false;
};

/// The row called `name`, or null.
const PreTokenizer *findPreTokenizer(std::string_view name);
/// The row that cuts as the parts of a tokenizer.json do, which Vocabulary::FromJson has, or null.
const PreTokenizer *findPreTokenizer(const std::vector<std::string> &parts);
/// All names, in the order of the table.
std::vector<std::string_view> preTokenizerNames();

/// The compiled patterns of one row. Any number of threads may split at a time.
class WordSplitter {
public:
  static Result<std::unique_ptr<WordSplitter>> create(const PreTokenizer &row);
  ~WordSplitter();
  /// Cuts `text`, which has to be well-formed UTF-8, into `words`. E0321 when a pattern exceeds its match limit.
  Status split(std::string_view text, std::vector<std::string_view> &words, uint64_t &steps) const;

private:
  struct Pattern;
  WordSplitter();
  std::vector<std::unique_ptr<const Pattern>> patterns;
  bool groupDigits = false;
};

} // namespace stepdown
