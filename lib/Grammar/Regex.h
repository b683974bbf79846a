// Regular expressions in RE2's syntax, read as languages: what matches, not where.
//
// Supported: literals, . (no line feed, unless (?s)), classes with ranges, negation, \d \w \s and [[:alpha:]],
// escapes (\n \t \r \f \v \a \x41 \x{1F600} \101 \Q..\E), groups of all kinds, | * + ? {n} {n,} {n,m} with lazy forms
// (the same language), ^ $ \A \z, and the flags i, s and U. Refused by name (E1308): \b \B, \p{..}, \C, the flag m, and
// what RE2 does not have (back references, look-around, possessive repetition).
#pragma once
#include "lib/Grammar/Expression.h"

namespace stepdown::grammar {

/// E1307, E1308, with the offset in bytes.
Result<Expression> parseRegex(std::string_view pattern);
/// The texts that match as a whole; E1306 too.
Result<Dfa> matchingTexts(std::string_view pattern);
/// The texts in which something matches, as JSON Schema's `pattern` means it. `steps` as for determinise().
Result<Dfa> textsWithMatch(std::string_view pattern, size_t &steps);

} // namespace stepdown::grammar
