// Any texts as config.json, tokenizer.json and tokenizer_config.json of a folder, with a byte 0 between them: refused
// with a reason, or metadata that the readers of metadata take or refuse.
#include "lib/Checkpoint/HuggingFace/Config.h"
#include "lib/Checkpoint/HuggingFace/TokenizerJson.h"
#include "lib/Text/Tokenizer/Tokenizer.h"

#include <cstdlib>

using namespace stepdown;

namespace {

void require(bool condition) {
  if (!condition)
    std::abort();
}

/// What stands before the next byte 0, which is taken away with it.
std::string_view part(std::string_view &input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view text = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return text;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  PairWriter pairs;
  uint64_t rows = ~uint64_t(0);
  std::optional<uint64_t> bos;
  std::vector<uint64_t> ends;
  if (Result<nlohmann::json> json = readJsonObject("config.json", part(input)); json) {
    const JsonObject config("config.json", *json, ErrorCode::ConfigValue);
    Result<FolderConfig> read = readConfig(config, &config, pairs);
    require(read || !read.error().message.empty());
    if (read) {
      rows = read->vocabulary;
      bos = read->bos;
      ends = read->ends;
      uint64_t layer = 0, expert = 0;
      (void)ruleOf(*read->family, std::string(input.substr(0, 64)), layer, expert);
    }
  }
  Result<nlohmann::json> json = readJsonObject("tokenizer.json", part(input));
  Result<nlohmann::json> around = readJsonObject("tokenizer_config.json", part(input));
  if (!json)
    return 0;
  const JsonObject whole("tokenizer.json", *json, ErrorCode::TokenizerJsonForm);
  std::optional<JsonObject> settings;
  if (around)
    settings.emplace("tokenizer_config.json", *around, ErrorCode::TokenizerJsonForm);
  Status read = readTokenizerJson({whole, settings ? &*settings : nullptr, nullptr, rows, bos, ends}, pairs);
  require(read || !read.error().message.empty());
  if (!read)
    return 0;
  size_t offset = 0;
  Result<Metadata> metadata = Metadata::parse("input", reinterpret_cast<const uint8_t *>(pairs.bytes().data()),
                                              pairs.bytes().size(), offset, pairs.count());
  require(metadata && offset == pairs.bytes().size()); // what is written is what is read
  Result<Tokenizer> tokenizer = Tokenizer::create(*metadata);
  if (!tokenizer)
    return require(!tokenizer.error().message.empty()), 0;
  for (bool trusted : {false, true}) {
    Result<std::vector<int32_t>> ids = tokenizer->encode(input, {true, trusted});
    if (ids)
      (void)tokenizer->decode(*ids, trusted);
  }
  return 0;
}
