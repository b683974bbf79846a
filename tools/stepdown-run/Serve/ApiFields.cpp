#include "tools/stepdown-run/Serve/ApiFields.h"

#include <nlohmann/json.hpp>

namespace stepdown::run {

using nlohmann::json;

Refused bad(const std::string &field, const std::string &expected, const json &actual) {
  // Nested values are only named: printing them would recurse as deep as the input likes.
  std::string text = actual.is_structured() ? std::string(actual.empty() ? "an empty " : "an ") + actual.type_name()
                                            : actual.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60)
    text = text.substr(0, 57) + "...";
  return Refusal{fail(ErrorCode::RequestField, "%s: expects %s, but got %s", field.substr(0, 100).c_str(),
                      expected.c_str(), text.c_str()),
                 field};
}

Refused lacking(const std::string &field) {
  return Refusal{fail(ErrorCode::RequestUnsupported, "%s: expects null, for this server does not do that",
                      field.substr(0, 100).c_str()),
                 field};
}

Refused readText(const json &value, const std::string &field, std::string &text) {
  if (!value.is_string())
    return bad(field, "a string", value);
  text = value.get<std::string>();
  return std::nullopt;
}

Refused readFlag(const json &value, const std::string &field, bool &flag) {
  if (!value.is_boolean())
    return bad(field, "true or false", value);
  flag = value.get<bool>();
  return std::nullopt;
}

Refused readWhole(const json &value, const std::string &field, int64_t low, int64_t high, int64_t &number) {
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) ||
      value.get<int64_t>() < low || value.get<int64_t>() > high)
    return bad(field, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), value);
  number = value.get<int64_t>();
  return std::nullopt;
}

} // namespace stepdown::run
