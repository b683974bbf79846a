// From ids back to bytes, and from bytes as they come to whole characters.
#include "lib/Text/Tokenizer/ByteAlphabet.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "lib/Text/Tokenizer/Vocabulary.h"

#include <algorithm>
#include <utility>

namespace stepdown {
namespace {

constexpr std::string_view replacementCharacter = "\xef\xbf\xbd";

void appendByteLevel(std::string_view text, std::string &out) {
  for (size_t at = 0; at < text.size();) {
    size_t length = characterLength(text.substr(at));
    int byte = length ? ByteAlphabet::get().byteOf(codePoint(text.substr(at), length)) : -1;
    length = length ? length : 1;
    if (byte >= 0)
      out += static_cast<char>(byte);
    else
      out.append(text.substr(at, length));
    at += length;
  }
}

/// As the package tokenizers: a token with a character that stands for no byte is all as it is written.
void appendWholeByteLevel(std::string_view text, std::string &out) {
  const size_t begin = out.size();
  for (size_t at = 0, length; at < text.size(); at += length) {
    length = characterLength(text.substr(at));
    const int byte = length ? ByteAlphabet::get().byteOf(codePoint(text.substr(at), length)) : -1;
    if (byte < 0) {
      out.replace(begin, std::string::npos, text);
      return;
    }
    out += static_cast<char>(byte);
  }
}

void appendUnmarked(std::string_view text, std::string &out) {
  for (size_t mark; (mark = text.find(spaceMark)) != text.npos; text.remove_prefix(mark + spaceMark.size()))
    out.append(text.substr(0, mark)) += ' ';
  out.append(text);
}

/// As the decoder WordPiece of the package tokenizers: a space before what begins a word, but for the first; and of
/// each piece by itself, where the file asks for it, none before punctuation and contractions.
void appendWordPiece(std::string_view text, bool isFirst, bool cleansUp, std::string &out) {
  constexpr std::string_view further = "##";
  const bool continues = !isFirst && text.substr(0, further.size()) == further;
  std::string piece(isFirst || continues ? "" : " ");
  piece.append(continues ? text.substr(further.size()) : text);
  constexpr std::pair<std::string_view, std::string_view> changes[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto &[from, to] : changes)
    for (size_t at = 0; cleansUp && (at = piece.find(from, at)) != piece.npos; at += to.size())
      piece.replace(at, from.size(), to);
  out += piece;
}

bool isJsonWordPiece(const Vocabulary &vocabulary) {
  return vocabulary.fromJson && vocabulary.model == TokenizerModel::WordPiece;
}

/// As the decoder Metaspace: marks are spaces, but nothing where they are `dropped`; bytes are as they are written.
void appendMetaspace(std::string_view text, bool dropped, std::string &out) {
  for (size_t mark; (mark = text.find(spaceMark)) != text.npos; text.remove_prefix(mark + spaceMark.size()))
    out.append(text.substr(0, mark)).append(dropped ? "" : " ");
  out.append(text);
}

bool hasMetaspaceDecoder(const Vocabulary &vocabulary) {
  return vocabulary.fromJson && vocabulary.model == TokenizerModel::Unigram;
}

/// What `id` stands for, where `isFirst` at the beginning of a text; nothing where it is outside the vocabulary.
void appendPiece(const Vocabulary &vocabulary, int32_t id, bool isFirst, std::string &out) {
  if (!vocabulary.contains(id))
    return;
  std::string_view text = vocabulary.text(id);
  if (vocabulary.fromJson && vocabulary.model == TokenizerModel::Bpe) // its decoder takes all, added tokens too
    return appendWholeByteLevel(text, out);
  if (isJsonWordPiece(vocabulary))
    return appendWordPiece(text, isFirst, vocabulary.fromJson->cleansUp, out);
  if (hasMetaspaceDecoder(vocabulary))
    return appendMetaspace(text, isFirst && vocabulary.fromJson->marksFirst, out);
  switch (vocabulary.type(id)) {
  case TokenType::Byte: {
    auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
    out += static_cast<char>(digit(text[3]) * 16 + digit(text[4]));
    break;
  }
  case TokenType::Control:
  case TokenType::Unknown:
  case TokenType::UserDefined: // stored as it appears in text, but in a tokenizer.json, whose decoder takes all
    if (vocabulary.fromJson && vocabulary.model == TokenizerModel::SpmBpe)
      appendUnmarked(text, out);
    else
      out.append(text);
    break;
  case TokenType::Normal:
  case TokenType::Unused:
    if (vocabulary.model == TokenizerModel::Bpe)
      appendByteLevel(text, out);
    else
      appendUnmarked(text, out);
  }
}

/// Encoding put a space before the first word, which the text did not have.
bool dropsFirstSpace(const Vocabulary &vocabulary) {
  if (hasMetaspaceDecoder(vocabulary)) // which wrote none
    return false;
  return vocabulary.addSpacePrefix || vocabulary.model == TokenizerModel::WordPiece ||
         (vocabulary.fromJson && vocabulary.fromJson->stripsSpace);
}

} // namespace

std::string Tokenizer::piece(int32_t id) const {
  std::string out;
  appendPiece(*vocabulary, id, false, out);
  return out;
}

std::string Tokenizer::decode(const std::vector<int32_t> &ids, bool keepSpecial) const {
  std::string out;
  bool isFirst = true; // a token, which may be no text
  for (int32_t id : ids)
    if (keepSpecial || !isSpecial(id)) {
      appendPiece(*vocabulary, id, hasMetaspaceDecoder(*vocabulary) ? isFirst : out.empty(), out);
      isFirst = false;
    }
  if (dropsFirstSpace(*vocabulary) && !out.empty() && out[0] == ' ')
    out.erase(0, 1);
  return out;
}

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool keepSpecial, bool startOfText)
    : tokenizer(&tokenizer), keepSpecial(keepSpecial),
      dropSpace(startOfText && (dropsFirstSpace(*tokenizer.vocabulary) || hasMetaspaceDecoder(*tokenizer.vocabulary))) {
}

std::string StreamDecoder::push(int32_t id) {
  if (!keepSpecial && tokenizer->isSpecial(id))
    return "";
  size_t before = pending.size();
  appendPiece(*tokenizer->vocabulary, id, dropSpace, pending);
  if (hasMetaspaceDecoder(*tokenizer->vocabulary))
    dropSpace = false;
  if (dropSpace && pending.size() > before) {
    dropSpace = false;
    if (pending[0] == ' ')
      pending.erase(0, 1);
  }
  std::string out;
  std::string_view rest = pending;
  while (!rest.empty()) {
    size_t length = wellFormedLength(rest);
    out.append(rest.substr(0, length));
    rest.remove_prefix(length);
    if (rest.empty())
      break;
    size_t partial = partialLength(rest);
    if (partial == rest.size())
      break;
    out.append(replacementCharacter);
    rest.remove_prefix(std::max<size_t>(partial, 1));
  }
  pending.erase(0, pending.size() - rest.size());
  return out;
}

std::string StreamDecoder::flush() {
  std::string out(pending.empty() ? std::string_view() : replacementCharacter);
  pending.clear();
  return out;
}

} // namespace stepdown
