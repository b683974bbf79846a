// The published test strings: ids that the models' own tokenizers gave, and the prompts of the reference models.
#include "MadeMetadata.h"
#include "lib/Text/Tokenizer/Tokenizer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>

namespace stepdown {
namespace {

namespace fs = std::filesystem;

fs::path vectorsFolder() {
  const char *named = std::getenv("STEPDOWN_VECTORS");
  return named ? fs::path(named) : fs::path(STEPDOWN_SOURCE_DIR) / ".." / "shared" / "vectors";
}

fs::path modelsFolder() {
  const char *named = std::getenv("STEPDOWN_MODELS");
  return named ? fs::path(named) : fs::path(STEPDOWN_SOURCE_DIR) / ".." / "models";
}

std::string readAll(const fs::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The strings of an .inp file, which the line __ggml_vocab_test__ ends.
std::vector<std::string> texts(const fs::path &path) {
  std::string all = readAll(path);
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> out;
  for (size_t at = 0, end; (end = all.find(separator, at)) != all.npos; at = end + separator.size())
    out.push_back(all.substr(at, end - at));
  return out;
}

std::vector<std::vector<int32_t>> idLists(const fs::path &path) {
  std::ifstream file(path);
  std::vector<std::vector<int32_t>> out;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    out.emplace_back(std::istream_iterator<int32_t>(words), std::istream_iterator<int32_t>());
  }
  return out;
}

void expectVectors(const Tokenizer &tokenizer, const std::string &name, bool lossless) {
  fs::path base = vectorsFolder() / "tokenizers" / ("ggml-vocab-" + name + ".gguf");
  std::vector<std::string> inputs = texts(base.string() + ".inp");
  std::vector<std::vector<int32_t>> expected = idLists(base.string() + ".out");
  ASSERT_EQ(inputs.size(), 46u);
  ASSERT_EQ(expected.size(), 46u);
  EncodeOptions plain;
  plain.addSpecial = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    SCOPED_TRACE(name + " text " + std::to_string(i) + ": " + inputs[i]);
    Result<std::vector<int32_t>> ids = tokenizer.encode(inputs[i], plain);
    ASSERT_TRUE(ids) << ids.error().text();
    EXPECT_EQ(*ids, expected[i]);
    std::string back = tokenizer.decode(*ids);
    StreamDecoder stream(tokenizer, false, true);
    std::string streamed;
    for (int32_t id : *ids)
      streamed += stream.push(id);
    streamed += stream.flush();
    EXPECT_EQ(streamed, back);
    if (lossless) {
      EXPECT_EQ(back, inputs[i]);
      continue;
    }
    // WordPiece forgets case, accents and spaces, but what it keeps means the same again.
    Result<std::vector<int32_t>> again = tokenizer.encode(back, {false, true});
    ASSERT_TRUE(again) << again.error().text();
    bool hasUnknown = std::count(ids->begin(), ids->end(), tokenizer.unknown()) != 0;
    if (!hasUnknown) {
      EXPECT_EQ(*again, *ids);
    }
  }
}

class TokenizerVectors : public testing::TestWithParam<const char *> {};

TEST_P(TokenizerVectors, EncodeAndDecode) {
  fs::path path = vectorsFolder() / "tokenizers" / (std::string("ggml-vocab-") + GetParam() + ".gguf");
  if (!fs::exists(path))
    GTEST_SKIP() << "no tokenizer vectors at " << path;
  Result<Checkpoint> file = Checkpoint::open(path.string(), true);
  ASSERT_TRUE(file) << file.error().text();
  Result<Tokenizer> tokenizer = Tokenizer::create(file->metadata());
  ASSERT_TRUE(tokenizer) << tokenizer.error().text();
  expectVectors(*tokenizer, GetParam(), std::string_view(GetParam()) != "bert-bge");
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerVectors,
                         testing::Values("bert-bge", "deepseek-llm", "gpt-2", "llama-spm", "phi-3", "starcoder"),
                         [](const auto &info) {
                           std::string name = info.param;
                           for (char &c : name)
                             c = c == '-' ? '_' : c;
                           return name;
                         });

// Only the tokenizer.json of Qwen is at hand: its vocabulary is written as metadata here.
TEST(TokenizerVectorsJson, Qwen2) {
  fs::path path = vectorsFolder() / "tokenizers" / "qwen3-tokenizer.json";
  if (!fs::exists(path))
    GTEST_SKIP() << "no tokenizer vectors at " << path;
  nlohmann::json json = nlohmann::json::parse(readAll(path));
  size_t size = json["model"]["vocab"].size() + json["added_tokens"].size();
  std::vector<std::string> tokens(size);
  std::vector<int32_t> types(size, 1);
  for (const auto &[text, id] : json["model"]["vocab"].items())
    tokens.at(id) = text;
  for (const auto &added : json["added_tokens"]) {
    tokens.at(added["id"]) = added["content"];
    types.at(added["id"]) = added["special"].get<bool>() ? 3 : 4;
  }
  std::vector<std::string> merges;
  for (const auto &merge : json["model"]["merges"])
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  MadeMetadata made(GgufBytes()
                        .text("tokenizer.ggml.model", "gpt2")
                        .text("tokenizer.ggml.pre", "qwen2")
                        .strings("tokenizer.ggml.tokens", tokens)
                        .array("tokenizer.ggml.token_type", GgufType::I32, types)
                        .strings("tokenizer.ggml.merges", merges));
  Result<Tokenizer> tokenizer = Tokenizer::create(made.metadata());
  ASSERT_TRUE(tokenizer) << tokenizer.error().text();
  expectVectors(*tokenizer, "qwen2", true);
}

class ReferencePrompts : public testing::TestWithParam<std::pair<const char *, const char *>> {};

TEST_P(ReferencePrompts, GiveTheTokensOfTheReference) {
  fs::path model = modelsFolder() / GetParam().first;
  fs::path vectors = vectorsFolder() / "models" / GetParam().second;
  if (!fs::exists(model) || !fs::exists(vectors))
    GTEST_SKIP() << "no " << model << " or " << vectors;
  Result<Checkpoint> file = Checkpoint::open(model.string(), true);
  ASSERT_TRUE(file) << file.error().text();
  Result<Tokenizer> tokenizer = Tokenizer::create(file->metadata());
  ASSERT_TRUE(tokenizer) << tokenizer.error().text();
  nlohmann::json json = nlohmann::json::parse(readAll(vectors));
  size_t compared = 0;
  for (const auto &prompt : json["prompts"]) {
    if (!prompt.contains("text"))
      continue;
    std::string text = prompt["text"];
    SCOPED_TRACE(text);
    for (bool parseSpecial : {false, true}) {
      Result<std::vector<int32_t>> ids = tokenizer->encode(text, {true, parseSpecial});
      ASSERT_TRUE(ids) << ids.error().text();
      EXPECT_EQ(*ids, prompt["tokens"].get<std::vector<int32_t>>());
      EXPECT_EQ(tokenizer->decode(*ids), text);
    }
    ++compared;
  }
  EXPECT_GT(compared, 0u);
}

INSTANTIATE_TEST_SUITE_P(All, ReferencePrompts,
                         testing::Values(std::make_pair("smollm2.gguf", "smollm2-135m-instruct-q4_1.json"),
                                         std::make_pair("gemma3.gguf", "gemma-3-270m-q4_k_m.json")),
                         [](const auto &info) { return std::string(info.param.first, 0, 6).substr(0, 6); });

} // namespace
} // namespace stepdown
