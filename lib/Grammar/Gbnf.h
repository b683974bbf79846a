// GBNF, the grammar notation of llama.cpp: rules `name ::= ...` of "text", [classes], ., (groups), |, * + ? {n,m},
// names of rules and # comments. A rule ends with its line, but within brackets and after ::= or |. The texts of the
// grammar are those of the rule `root`.
#pragma once
#include "lib/Grammar/Rules.h"

namespace stepdown::grammar {

/// A rule that is no GBNF: its texts are those of `grammar`.
struct OtherRule {
  std::string name;
  Grammar grammar;
};

/// E1301, E1302, E1303, E1306, with the line. `text` may use `others`, and defines none of them.
Result<Grammar> readGbnf(std::string_view text, std::vector<OtherRule> others = {});

} // namespace stepdown::grammar
