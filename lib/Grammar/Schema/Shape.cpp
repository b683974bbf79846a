// What is looked at before a tree is made of a schema's text: brackets, members and numbers.
#include "lib/Grammar/Schema/Document.h"
#include "lib/Grammar/Schema/Numbers.h"
#include <optional>

namespace stepdown::grammar {
namespace {

constexpr size_t maxDepth = 200; ///< of brackets
/// Members are found by a walk over those before them: so many steps are 8,192 members of one object.
constexpr size_t maxMembers = 8192, maxSteps = maxMembers * (maxMembers + 1) / 2;

/// Notes the first thing to refuse. What is no JSON is left to who makes the tree.
class Shape : public nlohmann::json_sax<Json> {
public:
  std::optional<Error> problem;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double value, const std::string &text) override {
    const Result<Decimal> written = Decimal::parse(text);
    if (!written)
      return refuse(written.error());
    const Result<Decimal> kept = Decimal::parse(Json(value).dump());
    return (kept && !(*kept < *written) && !(*written < *kept)) ||
           refuse(fail(ErrorCode::SchemaSyntax, "schema: expects numbers of at most 17 digits, but got %.60s",
                       text.c_str()));
  }
  bool string(std::string &) override { return true; }
  bool binary(Json::binary_t &) override { return true; }
  bool start_object(size_t) override { return open(); }
  bool key(std::string &) override {
    steps += ++members.back();
    return steps <= maxSteps ||
           refuse(fail(ErrorCode::GrammarTooLarge, "schema: expects objects of at most %zu members, but they have more",
                       maxMembers));
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string &, const Json::exception &) override { return false; }

private:
  bool refuse(Error error) {
    problem = std::move(error);
    return false;
  }
  bool open() {
    members.push_back(0);
    return members.size() <= maxDepth ||
           refuse(fail(ErrorCode::SchemaSyntax, "schema: expects at most %zu brackets in each other, but got more",
                       maxDepth));
  }
  bool close() {
    members.pop_back();
    return true;
  }

  std::vector<size_t> members; ///< of each bracket that is open
  size_t steps = 0;
};

} // namespace

Status checkShape(const std::string &text) {
  Shape shape;
  (void)Json::sax_parse(text, &shape);
  return shape.problem ? Status(*shape.problem) : Status(Done{});
}

} // namespace stepdown::grammar
