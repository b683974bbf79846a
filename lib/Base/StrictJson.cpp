#include "lib/Base/StrictJson.h"

#include <algorithm>
#include <set>
#include <vector>

using nlohmann::json;

namespace stepdown {
namespace {

constexpr size_t deepest = 100; ///< what is nested takes far more memory than the text
constexpr int kTooLarge = 406;  ///< the library's number for what no double holds

/// Walks through a text for where it ceases to be JSON, and for a name that an object has twice, of which the library's
/// parser keeps the last without a word.
class JsonWalk : public nlohmann::json_sax<json> {
public:
  std::string twice;                    ///< the first such name
  bool isTwice = false, failed = false; ///< there is one; the text is no JSON
  bool isDeep = false;                  ///< more than `deepest` arrays and objects lie in each other
  size_t offset = 0;                    ///< where it ceases to be
  std::string problem;                  ///< in the library's words

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(json::number_integer_t) override { return true; }
  bool number_unsigned(json::number_unsigned_t) override { return true; }
  bool number_float(json::number_float_t, const std::string &) override { return true; }
  bool string(std::string &) override { return true; }
  bool binary(json::binary_t &) override { return true; }
  bool start_array(size_t) override { return enter(); }
  bool end_array() override { return --depth, true; }
  bool start_object(size_t) override {
    names.emplace_back();
    return enter();
  }
  bool end_object() override {
    names.pop_back();
    return --depth, true;
  }
  bool key(std::string &name) override {
    if (!names.back().insert(name).second && !isTwice) {
      isTwice = true;
      twice = name;
    }
    return true;
  }
  bool parse_error(size_t read, const std::string &token, const nlohmann::detail::exception &error) override {
    failed = true;
    if (error.id == kTooLarge) {
      offset = read - std::min(read, token.size());
      problem = "a number that is too large";
      return false;
    }
    offset = read ? read - 1 : 0; // it has read the wrong byte
    problem = error.what();
    return false;
  }

private:
  bool enter() { return !(isDeep = ++depth > deepest); }

  size_t depth = 0;
  std::vector<std::set<std::string>> names; ///< of the objects around
};

/// WHAT of "[json.exception...] parse error at line 1, column 9: syntax error while parsing value - WHAT; last read:
/// 'TEXT'; expected ...", without what was read.
std::string inShort(std::string problem) {
  if (size_t at = problem.find(" - "); at != std::string::npos)
    problem = problem.substr(at + 3);
  std::string expected;
  if (size_t at = problem.rfind("; expected "); at != std::string::npos)
    expected = problem.substr(at);
  return problem.substr(0, std::min(problem.find("; last read"), problem.find("; expected "))) + expected;
}

} // namespace

Status checkJson(std::string_view text, const std::string &where, size_t begin) {
  JsonWalk walk;
  json::sax_parse(text, &walk);
  if (walk.isDeep)
    return fail(ErrorCode::JsonSyntax, "%s: expects JSON that is at most %zu values deep", where.c_str(), deepest);
  if (walk.failed)
    return fail(ErrorCode::JsonSyntax, "%s: expects JSON, but at offset %zu: %s", where.c_str(),
                begin + std::min(walk.offset, text.size()), inShort(walk.problem).substr(0, 160).c_str());
  if (walk.isTwice)
    return fail(ErrorCode::JsonSyntax, "%s: expects objects that have a name once, but \"%s\" is there twice",
                where.c_str(), walk.twice.substr(0, 160).c_str());
  return Done{};
}

} // namespace stepdown
