// A JSON file of a Hugging Face folder, and its objects read key by key: what was asked for is remembered, so that what
// nobody asked for can be refused.
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

/// The JSON object in `text`; E0908 for what is no JSON or has a key twice, E1402 for another value.
Result<nlohmann::json> readJsonObject(const std::string &file, std::string_view text);

/// An object of a JSON file. Null counts as missing, as transformers has it.
class JsonObject {
public:
  /// `path` leads to the object: "rope_scaling.", or nothing for the whole file. `object` must outlive this.
  JsonObject(std::string file, const nlohmann::json &object, ErrorCode malformed, std::string path = "")
      : name(std::move(file)), json(&object), malformed(malformed), path(std::move(path)) {}

  const std::string &file() const { return name; }
  const nlohmann::json &value() const { return *json; }
  /// The value of `key`, or null where it is missing.
  const nlohmann::json *find(const char *key) const;
  bool has(const char *key) const { return find(key) != nullptr; }

  /// Each refuses a value of another kind, and where there is no fallback a missing one.
  Result<uint64_t> count(const char *key) const;
  Result<uint64_t> count(const char *key, uint64_t fallback) const;
  Result<double> real(const char *key) const;
  Result<double> real(const char *key, double fallback) const;
  Result<bool> boolean(const char *key, bool fallback) const;
  Result<std::string> text(const char *key) const;
  Result<std::string> text(const char *key, const char *fallback) const;
  Result<std::vector<double>> reals(const char *key) const;
  Result<std::vector<std::string>> texts(const char *key) const;
  /// A number or a list of numbers; none where it is missing.
  Result<std::vector<uint64_t>> counts(const char *key) const;
  /// The object `key`, whose file and path it knows.
  Result<JsonObject> object(const char *key) const;

  /// An element of a list in this object, which messages give its path.
  JsonObject within(const nlohmann::json &element) const { return {name, element, malformed, path}; }

  /// An error that says "FILE: key 'path.key': EXPECTATION, but got VALUE".
  Error refuse(const char *key, const std::string &expectation) const;
  Error refuse(ErrorCode code, const char *key, const std::string &expectation) const;
  /// Keys whose value is not null that no call asked for.
  std::vector<std::string> unread() const;
  /// Refuses the first of them with `code`.
  Status everyKeyRead(ErrorCode code) const;
  /// As if it had been asked for.
  void skip(const char *key) const { asked.insert(key); }

private:
  std::string name;
  const nlohmann::json *json;
  ErrorCode malformed;
  std::string path;
  mutable std::set<std::string> asked;
};

/// A value that asks for nothing, whatever its key means: false, 0, or empty.
bool asksForNothing(const nlohmann::json &value);

/// A value as a message shows it: short, and printable.
std::string shownJson(const nlohmann::json &value);

} // namespace stepdown
