// Every malformed file of test/data/make_malformed.py gets the numbered error that its manifest expects, with a message
// that names the file, the field and the value.
#include "lib/Checkpoint/ModelParameters.h"
#include "test/unit/GgufBytes.h"

#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

using namespace stepdown;

namespace {

struct Case {
  std::string name, file, action;
  int code;
  std::vector<std::string> words;
};

void PrintTo(const Case &test, std::ostream *out) { *out << test.name; }

std::vector<std::string> splitAt(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);)
    parts.push_back(part);
  return parts;
}

std::vector<Case> readManifest() {
  std::ifstream in(STEPDOWN_MALFORMED_DIR "/manifest.tsv");
  std::vector<Case> cases;
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> columns = splitAt(line, '\t');
    columns.resize(5);
    cases.push_back({columns[0], columns[1], columns[2], std::stoi(columns[3]), splitAt(columns[4], '|')});
  }
  return cases;
}

Status run(const Case &test) {
  Result<Checkpoint> gguf = Checkpoint::open(STEPDOWN_MALFORMED_DIR "/" + test.file);
  if (!gguf)
    return gguf.error();
  if (test.action == "open")
    return Done{};
  if (test.action == "finite")
    return checkFinite(*gguf);
  Result<ModelParameters> parameters = readParameters(*gguf);
  if (!parameters)
    return parameters.error();
  return checkTensors(*gguf, *parameters);
}

class MalformedGguf : public testing::TestWithParam<Case> {};

TEST_P(MalformedGguf, GetsItsNumberedError) {
  const Case &test = GetParam();
  Status status = run(test);
  if (test.code == 0) {
    EXPECT_TRUE(status) << status.error().text();
    return;
  }
  ASSERT_FALSE(status) << "accepted";
  const std::string &message = status.error().message;
  EXPECT_EQ(static_cast<int>(status.error().code), test.code) << status.error().text();
  EXPECT_EQ(message.rfind(STEPDOWN_MALFORMED_DIR "/", 0), 0u) << "begins with the file: " << message;
  for (const std::string &word : test.words)
    EXPECT_NE(message.find(word), std::string::npos) << "names '" << word << "': " << message;
}

std::string caseName(const testing::TestParamInfo<Case> &info) {
  std::string name = info.param.name;
  for (char &c : name)
    if (!isalnum(static_cast<unsigned char>(c)))
      c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Manifest, MalformedGguf, testing::ValuesIn(readManifest()), caseName);

TEST(MalformedGgufSuite, CoversEveryRow) {
  std::vector<bool> rows(32);
  for (const Case &test : readManifest())
    if (isdigit(static_cast<unsigned char>(test.name[0])))
      rows[std::stoul(test.name)] = true;
  for (size_t row = 1; row <= 31; ++row)
    if (row != 23) // error paths over uninitialised state: what the sanitizers and the fuzz target look for
      EXPECT_TRUE(rows[row]) << "row " << row;
}

} // namespace

// Scales that are no binary16 have products with codes that are infinite: 12 times 2^124 is not, 12 times 2^125 is.
TEST(FiniteWeights, AreProductsOfCodesAndScales) {
  const auto refused = [](GgufBytes made) {
    GgufBytes::File file(made.bytes());
    Result<Checkpoint> gguf = Checkpoint::open(file.path);
    EXPECT_TRUE(gguf) << gguf.error().text();
    Status status = checkFinite(*gguf);
    if (!status) {
      EXPECT_EQ(status.error().code, ErrorCode::ModelTensorNotFinite) << status.error().text();
      EXPECT_NE(status.error().message.find("'a.weight'"), std::string::npos) << status.error().text();
    }
    return !status;
  };
  const auto mxfp4 = [](uint8_t exponent, uint8_t codes) {
    std::vector<uint8_t> block(17, codes);
    block[0] = exponent;
    return GgufBytes().stored("a.weight", {32}, Storage::MXFP4, block);
  };
  EXPECT_FALSE(refused(mxfp4(252, 0x77)));
  EXPECT_TRUE(refused(mxfp4(253, 0x77)));
  EXPECT_TRUE(refused(mxfp4(254, 0xf0)));
  EXPECT_FALSE(refused(mxfp4(254, 0x11)));
  const auto nvfp4 = [](uint8_t scale, uint8_t codes, float factor) {
    std::vector<uint8_t> block(36, codes), number(4);
    std::fill(block.begin(), block.begin() + 4, scale);
    std::memcpy(number.data(), &factor, 4);
    return GgufBytes().stored("a.weight", {64, 1}, Storage::NVFP4, block).stored("a.scale", {1}, Storage::F32, number);
  };
  EXPECT_FALSE(refused(nvfp4(0x38, 0x11, 3e38f))); // 1 times a half
  EXPECT_TRUE(refused(nvfp4(0x38, 0x77, 3e38f)));  // 1 times 6
  EXPECT_TRUE(refused(nvfp4(0x7e, 0x11, -3e38f))); // 448 times a half
  EXPECT_FALSE(refused(nvfp4(0x7e, 0x77, 1e35f)));
}
