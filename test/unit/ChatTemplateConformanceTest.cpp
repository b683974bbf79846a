// Published chat templates against what Python's jinja2 renders from them, byte for byte, errors included. The vectors
// lie outside the repository: $STEPDOWN_VECTORS, or shared/vectors beside it; without them the test is skipped.
#include "lib/Text/ChatTemplate/ChatTemplate.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>

using namespace stepdown;
namespace fs = std::filesystem;

namespace {

fs::path vectors() {
  const char *named = std::getenv("STEPDOWN_VECTORS");
  return named ? fs::path(named) : fs::path(STEPDOWN_SOURCE_DIR) / ".." / "shared" / "vectors";
}

std::string readFile(const fs::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(ChatTemplateConformance, PublishedTemplatesRenderAsJinja) {
  fs::path root = vectors();
  if (!fs::exists(root / "chat-templates" / "expected"))
    GTEST_SKIP() << "no vectors at " << root;
  RenderOptions options;
  ASSERT_TRUE(setNow(options, "2026-11-21T09:30:00"));
  int renderings = 0, passed = 0;
  for (const auto &entry : fs::directory_iterator(root / "chat-templates" / "expected")) {
    std::string name = entry.path().stem().string();
    auto expected = nlohmann::json::parse(readFile(entry.path()));
    Result<ChatTemplate> chat =
        ChatTemplate::parse(readFile(root / "chat-templates" / "templates" / (name + ".jinja")), name);
    ASSERT_TRUE(chat) << chat.error().text();
    for (const auto &[contextName, want] : expected.items()) {
      std::string file = contextName + ".json";
      Result<ChatContext> context = ChatContext::fromJson(readFile(root / "chat-contexts" / file), file);
      ASSERT_TRUE(context) << context.error().text();
      context->setDefault("bos_token", "<s>");
      context->setDefault("eos_token", "</s>");
      Result<std::string> got = chat->render(*context, options);
      bool same;
      if (want.contains("text")) {
        same = got && *got == want["text"].get<std::string>();
        EXPECT_TRUE(same) << name << " with " << file << ": " << (got ? *got : got.error().text());
      } else { // "TypeError: the words": the words must be in our message
        std::string words = want["error"].get<std::string>();
        words = words.substr(words.find(": ") + 2);
        same = !got && got.error().message.find(words) != std::string::npos;
        EXPECT_TRUE(same) << name << " with " << file << " lacks: " << words;
      }
      ++renderings;
      passed += same;
    }
  }
  std::printf("%d of %d renderings\n", passed, renderings);
  EXPECT_EQ(renderings, 188);
}

} // namespace
