// GBNF, the grammar notation of llama.cpp: rules `name ::= ...` of "text", [classes], ., (groups), |, * + ? {n,m},
// names of rules and # comments. A rule ends with its line, but within brackets and after ::= or |. The texts of the
// grammar are those of the rule `root`.
#pragma once
#include "lib/Grammar/Rules.h"
#include <functional>

namespace stepdown::grammar {

/// A rule that is no GBNF: its texts are those of the grammar that `read` makes.
struct OtherRule {
  std::string name;
  std::string where; ///< what messages call it
  std::function<Result<Grammar>()> read;
};

/// E1301, E1302, E1303, E1306, with the line. `text` may use `others`, and defines none of them. They are read one
/// after the other, up to the first that makes the grammar too large, which E1306 names; so no more are ever held than
/// a grammar may have.
Result<Grammar> readGbnf(std::string_view text, const std::vector<OtherRule> &others = {});

} // namespace stepdown::grammar
