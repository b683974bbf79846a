#include "lib/Checkpoint/HuggingFace/JsonFile.h"
#include "lib/Base/StrictJson.h"
#include "lib/Checkpoint/GgufShard.h"

#include <cmath>

namespace stepdown {

using nlohmann::json;

Result<json> readJsonObject(const std::string &file, std::string_view text) {
  Result<json> value = parseJson<json>(text, file);
  if (value && !value->is_object())
    return fail(ErrorCode::FolderJson, "%s: expects a JSON object, but got %s", file.c_str(),
                shownJson(*value).c_str());
  return value;
}

bool asksForNothing(const nlohmann::json &value) {
  return (value.is_boolean() && !value.get<bool>()) || (value.is_number() && value.get<double>() == 0) ||
         (value.is_string() && value.get_ref<const std::string &>().empty()) ||
         ((value.is_array() || value.is_object()) && value.empty());
}

std::string shownJson(const json &value) {
  if (value.is_array())
    return "a list of " + std::to_string(value.size());
  if (value.is_object())
    return "an object of " + std::to_string(value.size());
  if (value.is_string())
    return "'" + printable(value.get_ref<const std::string &>()) + "'";
  return printable(value.dump(-1, ' ', true, json::error_handler_t::replace));
}

const json *JsonObject::find(const char *key) const {
  asked.insert(key);
  const auto member = json->find(key);
  return member == json->end() || member->is_null() ? nullptr : &*member;
}

Error JsonObject::refuse(ErrorCode code, const char *key, const std::string &expectation) const {
  const nlohmann::json *value = find(key);
  return fail(code, "%s: key '%s': %s, but %s%s", name.c_str(), printable(path + key).c_str(), expectation.c_str(),
              value ? "got " : "it is missing", value ? shownJson(*value).c_str() : "");
}

Error JsonObject::refuse(const char *key, const std::string &expectation) const {
  return refuse(malformed, key, expectation);
}

Result<uint64_t> JsonObject::count(const char *key) const {
  const nlohmann::json *value = find(key);
  if (!value || !value->is_number_unsigned())
    return refuse(key, "expects a whole number from 0 on");
  return value->get<uint64_t>();
}

Result<uint64_t> JsonObject::count(const char *key, uint64_t fallback) const {
  return has(key) ? count(key) : Result<uint64_t>(fallback);
}

Result<double> JsonObject::real(const char *key) const {
  const nlohmann::json *value = find(key);
  if (!value || !value->is_number() || !std::isfinite(value->get<double>()))
    return refuse(key, "expects a number");
  return value->get<double>();
}

Result<double> JsonObject::real(const char *key, double fallback) const {
  return has(key) ? real(key) : Result<double>(fallback);
}

Result<bool> JsonObject::boolean(const char *key, bool fallback) const {
  const nlohmann::json *value = find(key);
  if (!value)
    return fallback;
  if (!value->is_boolean())
    return refuse(key, "expects true or false");
  return value->get<bool>();
}

Result<std::string> JsonObject::text(const char *key) const {
  const nlohmann::json *value = find(key);
  if (!value || !value->is_string())
    return refuse(key, "expects a text");
  return value->get<std::string>();
}

Result<std::string> JsonObject::text(const char *key, const char *fallback) const {
  return has(key) ? text(key) : Result<std::string>(std::string(fallback));
}

Result<std::vector<double>> JsonObject::reals(const char *key) const {
  const nlohmann::json *value = find(key);
  std::vector<double> numbers;
  if (!value || !value->is_array())
    return refuse(key, "expects a list of numbers");
  for (const nlohmann::json &each : *value) {
    if (!each.is_number() || !std::isfinite(each.get<double>()))
      return refuse(key, "expects a list of numbers (element " + std::to_string(numbers.size()) + " is none)");
    numbers.push_back(each.get<double>());
  }
  return numbers;
}

Result<std::vector<std::string>> JsonObject::texts(const char *key) const {
  const nlohmann::json *value = find(key);
  std::vector<std::string> all;
  if (!value || !value->is_array())
    return refuse(key, "expects a list of texts");
  for (const nlohmann::json &each : *value) {
    if (!each.is_string())
      return refuse(key, "expects a list of texts (element " + std::to_string(all.size()) + " is none)");
    all.push_back(each.get<std::string>());
  }
  return all;
}

Result<std::vector<uint64_t>> JsonObject::counts(const char *key) const {
  const nlohmann::json *value = find(key);
  std::vector<uint64_t> all;
  if (!value)
    return all;
  if (value->is_number_unsigned())
    return std::vector<uint64_t>{value->get<uint64_t>()};
  if (!value->is_array())
    return refuse(key, "expects a whole number from 0 on, or a list of such");
  for (const nlohmann::json &each : *value) {
    if (!each.is_number_unsigned())
      return refuse(key, "expects a list of whole numbers (element " + std::to_string(all.size()) + " is none)");
    all.push_back(each.get<uint64_t>());
  }
  return all;
}

Result<JsonObject> JsonObject::object(const char *key) const {
  const nlohmann::json *value = find(key);
  if (!value || !value->is_object())
    return refuse(key, "expects an object");
  return JsonObject(name, *value, malformed, path + key + ".");
}

Status JsonObject::everyKeyRead(ErrorCode code) const {
  for (const std::string &key : unread())
    return refuse(code, key.c_str(), "expects no such key, whose meaning is not known");
  return Done{};
}

std::vector<std::string> JsonObject::unread() const {
  std::vector<std::string> keys;
  for (const auto &[key, value] : json->items())
    if (!value.is_null() && !asked.count(key))
      keys.push_back(key);
  return keys;
}

} // namespace stepdown
