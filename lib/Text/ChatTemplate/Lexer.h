// Template text -> tokens. White space control happens here: trim_blocks (the newline after a block tag goes),
// lstrip_blocks (blanks before a block tag that begins its line go), and the signs - and + of each tag.
#pragma once
#include "lib/Text/ChatTemplate/Budget.h"
#include <cstdint>
#include <deque>
#include <string_view>

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
  uint16_t code; ///< of an operator: its characters; 0 of anything else
  int line;
  std::string_view text; ///< data, name, decoded string, digits, or operator; lies in the Tokens
};

/// The characters of an operator as one number.
constexpr uint16_t operatorCode(std::string_view text) {
  return static_cast<uint16_t>(static_cast<unsigned char>(text[0]) |
                               (text.size() > 1 ? static_cast<unsigned char>(text[1]) << 8 : 0));
}

/// What the tokens of a template lie in; stays where it is made.
struct Tokens {
  String source;                               ///< line ends normalised
  std::deque<String, Charged<String>> decoded; ///< strings and numbers whose text is not that of the source
  Vector<Token> list;

  /// Throws Refusal (E0401, E0404, E0407).
  explicit Tokens(std::string_view text);
  Tokens(const Tokens &) = delete;
};

} // namespace stepdown::jinja
