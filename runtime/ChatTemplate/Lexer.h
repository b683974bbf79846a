// Template text -> tokens. White space control happens here: trim_blocks (the newline after a block tag goes),
// lstrip_blocks (blanks before a block tag that begins its line go), and the signs - and + of each tag.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::jinja {

enum class TokenKind : uint8_t {
  Data,
  OutputBegin,
  OutputEnd,
  BlockBegin,
  BlockEnd,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind;
  int line;
  std::string text; ///< data, name, decoded string, digits, or operator
};

/// Throws Refusal (E0401).
std::vector<Token> tokenise(std::string_view text);

} // namespace stepdown::jinja
