// Vocabularies of a few tokens, one for each kind of tokenizer, as metadata that a test may add to.
#pragma once
#include "MadeMetadata.h"
#include "lib/Text/Tokenizer/Tokenizer.h"

#include <gtest/gtest.h>

namespace stepdown {

struct MadeToken {
  std::string text;
  float score = 0;
  int32_t type = 1; // normal
};

constexpr int32_t unknownType = 2, controlType = 3, userType = 4, byteType = 6;

/// Model, tokens, scores and types; the rest of a file is the caller's.
inline GgufBytes vocabularyBytes(const std::string &model, const std::vector<MadeToken> &tokens) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const MadeToken &token : tokens) {
    texts.push_back(token.text);
    scores.push_back(token.score);
    types.push_back(token.type);
  }
  return GgufBytes()
      .text("tokenizer.ggml.model", model)
      .strings("tokenizer.ggml.tokens", texts)
      .array("tokenizer.ggml.scores", GgufType::F32, scores)
      .array("tokenizer.ggml.token_type", GgufType::I32, types);
}

inline std::string byteTokenText(int byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", byte);
  return text;
}

/// <unk> <s> </s>, the 256 byte tokens (ids 3 to 258), then `tokens`.
inline std::vector<MadeToken> spmTokens(const std::vector<MadeToken> &tokens) {
  std::vector<MadeToken> all = {{"<unk>", 0, unknownType}, {"<s>", 0, controlType}, {"</s>", 0, controlType}};
  for (int byte = 0; byte < 256; ++byte)
    all.push_back({byteTokenText(byte), 0, byteType});
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}
constexpr int32_t firstSpmId = 259;
inline int32_t spmByte(int byte) { return 3 + byte; }

/// The metadata and the tokenizer made from it; creating one that is refused fails the test.
class MadeTokenizer {
public:
  explicit MadeTokenizer(const GgufBytes &file) : made(file), created(Tokenizer::create(made.metadata())) {
    EXPECT_TRUE(created) << created.error().text();
  }
  const Tokenizer &operator*() const { return *created; }
  const Tokenizer *operator->() const { return &*created; }
  /// Ids without BOS and EOS.
  std::vector<int32_t> plain(std::string_view text, bool parseSpecial = false) const {
    return encode(text, false, parseSpecial);
  }
  /// Ids with BOS and EOS as the file asks for.
  std::vector<int32_t> whole(std::string_view text, bool parseSpecial = false) const {
    return encode(text, true, parseSpecial);
  }
  /// The texts of plain ids, for tests of merging that care for pieces only.
  std::vector<std::string> pieces(std::string_view text) const {
    std::vector<std::string> out;
    for (int32_t id : plain(text))
      out.push_back(created->piece(id));
    return out;
  }

private:
  std::vector<int32_t> encode(std::string_view text, bool addSpecial, bool parseSpecial) const {
    EncodeOptions options;
    options.addSpecial = addSpecial;
    options.parseSpecial = parseSpecial;
    Result<std::vector<int32_t>> ids = created->encode(text, options);
    EXPECT_TRUE(ids) << ids.error().text();
    return ids ? *ids : std::vector<int32_t>();
  }
  MadeMetadata made;
  Result<Tokenizer> created;
};

} // namespace stepdown
