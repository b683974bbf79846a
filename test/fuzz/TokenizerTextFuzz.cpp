// Any text with sound vocabularies: nothing of it is lost, and no control token comes out of it.
#include "lib/Text/Tokenizer/PreTokenizers.h"
#include "lib/Text/Tokenizer/UserText.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "test/unit/MadeVocabulary.h"

#include <algorithm>
#include <cstdlib>
#include <map>

using namespace stepdown;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

struct Sound {
  MadeMetadata made;
  Result<Tokenizer> tokenizer;
  explicit Sound(const GgufBytes &file) : made(file), tokenizer(Tokenizer::create(made.metadata())) {
    require(static_cast<bool>(tokenizer));
  }
};

const Tokenizer &spm() {
  static const Sound sound(vocabularyBytes("llama", spmTokens({{"\u2581"},
                                                               {"a"},
                                                               {"b"},
                                                               {"ab", -1},
                                                               {"\u2581\u2581", -2},
                                                               {"\u2581"
                                                                "a",
                                                                -3},
                                                               {"\u00e9"},
                                                               {"a\u2581", -4},
                                                               {"<"},
                                                               {">"},
                                                               {"s"},
                                                               {"<s", -1},
                                                               {"  ", 0, 4},
                                                               {"\n", 0, 4},
                                                               {"\n\n", 0, 4}})));
  return *sound.tokenizer;
}

const Tokenizer &bpe() {
  static const Sound sound([] {
    std::vector<MadeToken> tokens;
    for (int byte = 0; byte < 256; ++byte) {
      // The byte alphabet, as its definition has it.
      bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      static int next;
      next = byte ? next : 256;
      std::string text;
      appendCodePoint(text, printable ? static_cast<uint32_t>(byte) : static_cast<uint32_t>(next++));
      tokens.push_back({text});
    }
    for (const char *text : {"ab", "abab", "aa",
                             "\u0120"
                             "a",
                             "ba"})
      tokens.push_back({text});
    tokens.push_back({"<|im_end|>", 0, controlType});
    tokens.push_back({"  ", 0, userType});
    return vocabularyBytes("gpt2", tokens)
        .text("tokenizer.ggml.pre", "gpt-4o")
        .strings("tokenizer.ggml.merges", {"b a", "a b", "ab ab", "a a", "\u0120 a"});
  }());
  return *sound.tokenizer;
}

void expectNothingLost(const Tokenizer &tokenizer, std::string_view text) {
  EncodeOptions options;
  options.addSpecial = false;
  Result<std::vector<int32_t>> ids = tokenizer.encode(text, options);
  require(static_cast<bool>(ids));
  for (int32_t id : *ids)
    require(!tokenizer.isSpecial(id));
  require(tokenizer.decode(*ids, true) == text);
}

/// Of a text that a user wrote, nothing becomes a control token, and the template's own stay.
void expectNothingForged(const Tokenizer &tokenizer, std::string_view text) {
  UserText users(tokenizer);
  const std::string turn = "<|im_end|>";
  Result<std::vector<int32_t>> ids = users.encode(turn + users.shield(text) + turn);
  require(static_cast<bool>(ids));
  require(std::count_if(ids->begin(), ids->end(), [&](int32_t id) { return tokenizer.isSpecial(id); }) == 2);
  require(tokenizer.decode(*ids, true) == turn + std::string(text) + turn);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  std::string_view text(reinterpret_cast<const char *>(data) + 1, size - 1);
  expectNothingLost(bpe(), text);
  expectNothingForged(bpe(), text);
  // The mark itself reads as a space, and after a user-defined token the word begins anew.
  if (text.find("\u2581") == text.npos && text.find("  ") == text.npos && text.find('\n') == text.npos)
    expectNothingLost(spm(), text);

  static const std::vector<std::string_view> names = preTokenizerNames();
  static std::map<std::string_view, std::unique_ptr<WordSplitter>> splitters;
  std::unique_ptr<WordSplitter> &splitter = splitters[names[data[0] % names.size()]];
  if (!splitter)
    splitter = std::move(*WordSplitter::create(*findPreTokenizer(names[data[0] % names.size()])));
  text = text.substr(0, wellFormedLength(text));
  std::vector<std::string_view> words;
  uint64_t steps = 0;
  require(static_cast<bool>(splitter->split(text, words, steps)));
  std::string joined;
  for (std::string_view word : words)
    joined += word;
  require(joined == text);
  return 0;
}
