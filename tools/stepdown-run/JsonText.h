// JSON that a user wrote: read, or refused with the offset at which it ceases to be JSON.
#pragma once
#include "lib/Base/Result.h"
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::run {

/// Walks through a text for what the library's parser does not tell: where a number is that no double holds, and a name
/// that an object has twice, of which the parser keeps the last.
template <typename Json> class JsonWalk : public nlohmann::json_sax<Json> {
public:
  std::string twice;                    ///< the first such name
  bool isTwice = false, failed = false; ///< there is one; the text is no JSON
  size_t offset = 0;                    ///< of the token at which it ceases to be

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(typename Json::number_integer_t) override { return true; }
  bool number_unsigned(typename Json::number_unsigned_t) override { return true; }
  bool number_float(typename Json::number_float_t, const std::string &) override { return true; }
  bool string(std::string &) override { return true; }
  bool binary(typename Json::binary_t &) override { return true; }
  bool start_array(size_t) override { return true; }
  bool end_array() override { return true; }
  bool start_object(size_t) override {
    names.emplace_back();
    return true;
  }
  bool end_object() override {
    names.pop_back();
    return true;
  }
  bool key(std::string &name) override {
    if (!names.back().insert(name).second && !isTwice) {
      isTwice = true;
      twice = name;
    }
    return true;
  }
  bool parse_error(size_t read, const std::string &token, const nlohmann::detail::exception &) override {
    failed = true;
    offset = read - std::min(read, token.size());
    return false;
  }

private:
  std::vector<std::set<std::string>> names; ///< of the objects around
};

/// `text` as a value of the library's type `Json`; E0908 "WHERE: expects JSON, but at offset N ...", where N counts the
/// bytes of the file, of which `text` begins at `begin`; likewise for an object with a name twice.
template <typename Json> Result<Json> parseJson(std::string_view text, const std::string &where, size_t begin = 0) {
  size_t offset = text.size();
  std::string problem;
  JsonWalk<Json> walk;
  try {
    Json value = Json::parse(text);
    Json::sax_parse(text, &walk);
    if (!walk.isTwice)
      return value;
    return fail(ErrorCode::JsonSyntax, "%s: expects objects that have a name once, but \"%s\" is there twice",
                where.c_str(), walk.twice.substr(0, 160).c_str());
  } catch (const typename Json::parse_error &found) { // `byte` counts from 1 and has read the wrong one
    offset = std::min(offset, found.byte ? found.byte - 1 : 0);
    problem = found.what();
  } catch (const typename Json::exception &) { // a number that no double holds
    Json::sax_parse(text, &walk);
    return fail(ErrorCode::JsonSyntax, "%s: expects JSON, but at offset %zu: a number that is too large", where.c_str(),
                begin + walk.offset);
  }
  // "[json.exception...] parse error at line 1, column 9: syntax error while parsing value - WHAT; last read: 'TEXT'"
  if (size_t at = problem.find(" - "); at != std::string::npos)
    problem = problem.substr(at + 3);
  std::string expected;
  if (size_t at = problem.rfind("; expected "); at != std::string::npos)
    expected = problem.substr(at);
  problem = problem.substr(0, std::min(problem.find("; last read"), problem.find("; expected "))) + expected;
  return fail(ErrorCode::JsonSyntax, "%s: expects JSON, but at offset %zu: %s", where.c_str(), begin + offset,
              problem.substr(0, 160).c_str());
}

} // namespace stepdown::run
