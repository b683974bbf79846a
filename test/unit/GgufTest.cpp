// Reading of good GGUF files: values, typed reads and their refusals, tensors, and what truncation at any byte does.
#include "lib/Checkpoint/GgufShard.h"
#include "test/unit/GgufBytes.h"

#include <gtest/gtest.h>
#include <memory>

using namespace stepdown;

namespace {

Result<Checkpoint> openBytes(const std::string &bytes, bool metadataOnly = false) {
  GgufBytes::File file(bytes); // the mapping outlives the name
  return Checkpoint::open(file.path, metadataOnly);
}

GgufBytes sample() {
  return GgufBytes()
      .u32("a.u32", 7)
      .scalar("a.i8", GgufType::I8, int8_t(-3))
      .scalar("a.u64", GgufType::U64, ~uint64_t(0))
      .f32("a.f32", 0.5f)
      .scalar("a.f64", GgufType::F64, 0.25)
      .scalar("a.bool", GgufType::Bool, uint8_t(2))
      .text("a.text", "hello")
      .strings("a.strings", {"", "one", "two"})
      .array<float>("a.reals", GgufType::F32, {1, 2.5f})
      .array<int16_t>("a.integers", GgufType::I16, {-1, 300})
      .tensor("first", {3, 2})
      .tensor("second", {5});
}

template <typename T> int codeOf(const Result<T> &result) { return result ? 0 : static_cast<int>(result.error().code); }

TEST(Metadata, ReadsEveryKindOfValue) {
  Result<Checkpoint> gguf = openBytes(sample().bytes());
  ASSERT_TRUE(gguf) << gguf.error().text();
  const Metadata &meta = gguf->metadata();
  EXPECT_EQ(*meta.unsignedInteger("a.u32"), 7u);
  EXPECT_EQ(*meta.integer("a.i8"), -3);
  EXPECT_EQ(*meta.unsignedInteger("a.u64"), ~uint64_t(0));
  EXPECT_EQ(*meta.real("a.f32"), 0.5);
  EXPECT_EQ(*meta.real("a.f64"), 0.25);
  EXPECT_EQ(*meta.real("a.i8"), -3.0);
  EXPECT_TRUE(*meta.boolean("a.bool"));
  EXPECT_EQ(*meta.string("a.text"), "hello");
  EXPECT_EQ(*meta.strings("a.strings"), (std::vector<std::string_view>{"", "one", "two"}));
  EXPECT_EQ(*meta.reals("a.reals"), (std::vector<float>{1, 2.5f}));
  EXPECT_EQ(*meta.integers("a.integers"), (std::vector<int64_t>{-1, 300}));
  EXPECT_EQ(meta.keys().size(), 10u);
  EXPECT_EQ(meta.keys()[6], "a.text");
}

TEST(Metadata, RefusesMissingKeysAndWrongTypes) {
  Result<Checkpoint> gguf = openBytes(sample().bytes());
  ASSERT_TRUE(gguf);
  const Metadata &meta = gguf->metadata();
  EXPECT_FALSE(meta.has("a.none"));
  EXPECT_EQ(codeOf(meta.integer("a.none")), 201);
  EXPECT_EQ(codeOf(meta.unsignedInteger("a.i8")), 202); // negative
  EXPECT_EQ(codeOf(meta.integer("a.u64")), 202);        // beyond 63 bits
  EXPECT_EQ(codeOf(meta.unsignedInteger("a.f32")), 202);
  EXPECT_EQ(codeOf(meta.unsignedInteger("a.integers")), 202);
  EXPECT_EQ(codeOf(meta.real("a.text")), 202);
  EXPECT_EQ(codeOf(meta.boolean("a.u32")), 202);
  EXPECT_EQ(codeOf(meta.string("a.strings")), 202);
  EXPECT_EQ(codeOf(meta.strings("a.text")), 202);
  EXPECT_EQ(codeOf(meta.reals("a.integers")), 202);
  EXPECT_EQ(codeOf(meta.integers("a.reals")), 202);
  EXPECT_EQ(codeOf(meta.integers("a.strings")), 202);
  std::string message = meta.string("a.strings").error().message;
  for (const char *word : {"a.strings", "offset", "expects string", "array of string"})
    EXPECT_NE(message.find(word), std::string::npos) << message;
}

TEST(Metadata, PairsCanBeCopiedVerbatim) {
  std::string bytes = sample().bytes();
  Result<Checkpoint> gguf = openBytes(bytes);
  ASSERT_TRUE(gguf);
  std::string pairs(gguf->pairs());
  size_t offset = 0;
  Result<Metadata> copy =
      Metadata::parse("copy", reinterpret_cast<const uint8_t *>(pairs.data()), pairs.size(), offset, gguf->pairCount());
  ASSERT_TRUE(copy) << copy.error().text();
  EXPECT_EQ(offset, pairs.size());
  EXPECT_EQ(copy->keys(), gguf->metadata().keys());
  EXPECT_EQ(*copy->string("a.text"), "hello");
}

TEST(Gguf, FindsTensorsAndTheirData) {
  Result<Checkpoint> gguf = openBytes(sample().bytes());
  ASSERT_TRUE(gguf);
  ASSERT_EQ(gguf->tensors().size(), 2u);
  const StoredTensor *first = gguf->tensor("first");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->rank, 2);
  EXPECT_EQ(first->dims[0], 3u);
  EXPECT_EQ(first->dims[1], 2u);
  EXPECT_EQ(first->dims[2], 1u);
  EXPECT_EQ(first->bytes, 24u);
  float value;
  std::memcpy(&value, first->data + 20, 4);
  EXPECT_EQ(value, 5.0f);
  EXPECT_EQ(gguf->files().front().data() + gguf->tensor("second")->offset, gguf->tensor("second")->data);
  EXPECT_EQ(gguf->tensor("third"), nullptr);
}

TEST(Gguf, MetadataAloneNeedsNoTensorData) {
  std::string bytes = GgufBytes().text("k", "v").tensor("w", {64}).bytes();
  bytes.resize(bytes.size() - 128);
  EXPECT_EQ(codeOf(openBytes(bytes)), 128);
  Result<Checkpoint> gguf = openBytes(bytes, true);
  ASSERT_TRUE(gguf) << gguf.error().text();
  EXPECT_EQ(gguf->tensors().size(), 1u);
  EXPECT_EQ(gguf->tensors()[0].data, nullptr);
}

TEST(Gguf, MetadataAloneAcceptsForeignTypes) {
  std::string bytes = GgufBytes().tensor("w", {8}).bytes();
  bytes[24 + 8 + 1 + 4 + 8] = 28; // F64
  EXPECT_EQ(codeOf(openBytes(bytes)), 119);
  Result<Checkpoint> gguf = openBytes(bytes, true);
  ASSERT_TRUE(gguf) << gguf.error().text();
  EXPECT_EQ(static_cast<uint32_t>(gguf->tensors()[0].storage), 28u);
}

// Each prefix lies in an allocation of exactly its size, so that a sanitizer sees one byte too many.
TEST(Gguf, EveryTruncationIsRefused) {
  std::string bytes = sample().bytes();
  size_t needed = bytes.size() - 12; // the padding of the last tensor may be missing
  for (size_t size = 0; size < needed; ++size) {
    std::unique_ptr<uint8_t[]> prefix(new uint8_t[size]);
    std::memcpy(prefix.get(), bytes.data(), size);
    Result<GgufShard> shard = readShard("prefix", prefix.get(), size, false);
    ASSERT_FALSE(shard) << size;
    int code = static_cast<int>(shard.error().code);
    EXPECT_TRUE(code > 100 && code < 200) << shard.error().text();
  }
  EXPECT_TRUE(readShard("whole", reinterpret_cast<const uint8_t *>(bytes.data()), needed, false));
}

TEST(Gguf, EveryFlippedByteIsReadOrRefused) {
  std::string bytes = sample().bytes();
  size_t accepted = 0, refused = 0;
  for (size_t at = 0; at < bytes.size(); ++at)
    for (int change : {0x01, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ change);
      Result<GgufShard> shard =
          readShard("flipped", reinterpret_cast<const uint8_t *>(changed.data()), changed.size(), false);
      ++(shard ? accepted : refused);
      if (shard)
        for (const StoredTensor &tensor : shard->tensors)
          ASSERT_LE(tensor.offset + tensor.bytes, changed.size());
    }
  EXPECT_GT(accepted, 0u); // values and tensor data are free
  EXPECT_GT(refused, 0u);  // counts, types and lengths are not
}

TEST(Gguf, MessagesEscapeBytesThatAreNotText) {
  EXPECT_EQ(printable("a\x1b[31m\xff"), "a\\x1b[31m\\xff");
  EXPECT_EQ(printable(std::string(200, 'x')).size(), 83u);
}

TEST(Gguf, NamesTheFileItCannotOpen) {
  Result<Checkpoint> gguf = Checkpoint::open("/nonexistent/model.gguf");
  ASSERT_FALSE(gguf);
  EXPECT_EQ(gguf.error().code, ErrorCode::FileOpen);
  EXPECT_NE(gguf.error().message.find("/nonexistent/model.gguf"), std::string::npos);
}

} // namespace
