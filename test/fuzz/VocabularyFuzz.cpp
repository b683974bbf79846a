// Any vocabulary, and any text with it: refused with a reason, or usable without harm.
//
// Bytes rarely parse as metadata, so most inputs are read as instructions for making it: which kind of tokenizer, which
// tokens, scores, types, merges, ids. An input that begins with 0
// is metadata itself: a count of pairs in one byte, and the pairs.
#include "lib/Text/Tokenizer/PreTokenizers.h"
#include "lib/Text/Tokenizer/Tokenizer.h"
#include "lib/Text/Tokenizer/Utf8.h"
#include "test/unit/MadeMetadata.h"

#include <algorithm>
#include <cstdlib>

using namespace stepdown;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

class Source {
public:
  Source(const uint8_t *data, size_t size) : data(data), size(size) {}
  uint8_t byte() { return size ? (--size, *data++) : 0; }
  uint32_t below(uint32_t limit) { return (byte() << 8 | byte()) % limit; }
  std::string text(size_t most) {
    size_t length = std::min<size_t>(byte() % (most + 1), size);
    std::string out(reinterpret_cast<const char *>(data), length);
    data += length;
    size -= length;
    return out;
  }
  std::string_view rest() const { return {reinterpret_cast<const char *>(data), size}; }

private:
  const uint8_t *data;
  size_t size;
};

/// `ways` has a bit for each of the three options; their opposites are tried too.
void useTokenizer(const Metadata &metadata, std::string_view text, uint8_t ways) {
  Result<Tokenizer> tokenizer = Tokenizer::create(metadata);
  if (!tokenizer)
    return require(!tokenizer.error().message.empty());
  for (int options : {ways & 7, ~ways & 7}) {
    Result<std::vector<int32_t>> ids =
        tokenizer->encode(text, {(options & 1) != 0, (options & 2) != 0, (options & 4) != 0});
    if (!ids)
      continue;
    require(static_cast<bool>(tokenizer->check(*ids)));
    // A text that nobody trusts has no control token in it but those that the file adds.
    if (!(options & 2))
      for (size_t i = tokenizer->addsBos() && (options & 1); i + (tokenizer->addsEos() && (options & 1)) < ids->size();
           ++i)
        require(!tokenizer->isSpecial((*ids)[i]) || (*ids)[i] == tokenizer->unknown());
    (void)tokenizer->decode(*ids, (options & 1) != 0);
    StreamDecoder stream(*tokenizer, true);
    std::string out;
    for (int32_t id : *ids) {
      std::string piece = stream.push(id);
      require(wellFormedLength(piece) == piece.size());
      out += piece;
    }
    out += stream.flush();
    require(wellFormedLength(out) == out.size());
  }
}

GgufBytes makeFile(Source &source) {
  constexpr const char *models[] = {"llama", "gpt2", "gemma4", "bert", "t5"};
  GgufBytes file;
  uint8_t kind = source.byte() % 5, habits = source.byte();
  file.text("tokenizer.ggml.model", models[kind]);
  std::vector<std::string_view> pres = preTokenizerNames();
  if (habits & 1)
    file.text("tokenizer.ggml.pre", std::string(pres[source.below(static_cast<uint32_t>(pres.size()))]));
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  auto add = [&](std::string text, float score, int32_t type) {
    tokens.push_back(std::move(text));
    scores.push_back(score);
    types.push_back(type);
  };
  if (habits & 2)
    for (int byte = 0; byte < 256; ++byte) {
      char text[8];
      std::snprintf(text, sizeof text, "<0x%02X>", byte);
      add(text, 0, 6);
    }
  for (int i = 0, count = source.byte() % 64; i < count; ++i) {
    uint8_t look = source.byte();
    std::string text = source.text(6);
    if (look & 64)
      text.insert(0, "\xe2\x96\x81");
    add(text, static_cast<float>(look & 15) - 8, look & 128 ? source.byte() % 8 : 1);
  }
  file.strings("tokenizer.ggml.tokens", tokens);
  if (habits & 4)
    scores.resize(source.below(static_cast<uint32_t>(scores.size()) + 2), 1e30f);
  if (!(habits & 8))
    file.array("tokenizer.ggml.scores", GgufType::F32, scores);
  file.array("tokenizer.ggml.token_type", GgufType::I32, types);
  std::vector<std::string> merges;
  uint32_t many = static_cast<uint32_t>(tokens.size());
  for (int i = 0, count = source.byte() % 64; many && i < count; ++i)
    merges.push_back(tokens[source.below(many)] + " " + tokens[source.below(many)]);
  file.strings("tokenizer.ggml.merges", merges);
  if (!(habits & 16))
    for (const char *name : {"bos", "eos", "eot", "unknown", "seperator", "padding", "cls", "mask"})
      file.u32(std::string("tokenizer.ggml.") + name + "_token_id", source.below(many + 1));
  for (const char *name : {"add_bos_token", "add_eos_token", "add_space_prefix", "remove_extra_whitespaces"})
    if (uint8_t way = source.byte(); way & 2)
      file.scalar(std::string("tokenizer.ggml.") + name, GgufType::Bool, static_cast<uint8_t>(way & 1));
  if (habits & 32) {
    // A small trie of any entries, so that many of them lead somewhere.
    std::vector<uint8_t> map = {0, 4, 0, 0};
    for (int i = 0; i < 256; ++i) {
      uint32_t entry = source.byte() | static_cast<uint32_t>(source.byte()) << 8;
      entry = (entry & 0x1ff) | (entry >> 9) << 10;
      for (int shift = 0; shift < 32; shift += 8)
        map.push_back(static_cast<uint8_t>(entry >> shift));
    }
    map.insert(map.end(), {'a', 0, ' ', 'b', 0});
    file.array("tokenizer.ggml.precompiled_charsmap", GgufType::U8, map);
  }
  if (habits & 64)
    file.text("general.name", "phi-3");
  return file;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 1 && data[0] == 0) {
    size_t offset = 2;
    Result<Metadata> metadata = Metadata::parse("input", data, size, offset, data[1]);
    if (metadata)
      useTokenizer(*metadata, "<s>Hello\xe2\x96\x81world \xf0\x9f\x98", data[size - 1]);
    return 0;
  }
  Source source(data, size);
  MadeMetadata made(makeFile(source));
  useTokenizer(made.metadata(), source.rest(), size ? data[size - 1] : 0);
  return 0;
}
