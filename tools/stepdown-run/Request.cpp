#include "tools/stepdown-run/Request.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/JsonText.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>

namespace stepdown::run {
namespace {

constexpr const char *seedRange = "a whole number from -9223372036854775808 to 18446744073709551615";

using commandline::parseInteger;
using commandline::parseReal;
using nlohmann::json;

/// "top_n_sigma" as the command line has it: "top-n-sigma".
std::string dashed(const char *name) {
  std::string text = name;
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

/// A number as people write it: "0.1", not 0.1f's nearest double.
std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

Error badField(const std::string &where, const std::string &field, const std::string &expected, const json &actual) {
  // Nested values are only named: printing them would recurse as deep as the input likes.
  std::string text = actual.is_structured() ? std::string(actual.empty() ? "an empty " : "an ") + actual.type_name()
                                            : actual.dump(-1, ' ', false, json::error_handler_t::replace);
  return fail(ErrorCode::RequestField, "%s: %s: expects %s, but got %s", where.c_str(), field.c_str(), expected.c_str(),
              text.size() > 60 ? (text.substr(0, 57) + "...").c_str() : text.c_str());
}

/// Reads one object field by field, keeping the first refusal.
class FieldReader {
public:
  FieldReader(Request &request, const std::string &where) : request(request), where(where) {}
  Status read(const std::string &key, const json &value) {
    if (key == "adapter") {
      if (!value.is_string())
        return bad("adapter", "the name of an adapter", value);
      request.adapter = value.get<std::string>();
      return Done{};
    }
    if (key == "id") {
      if (!value.is_string() && !value.is_number_integer())
        return bad(key, "a string or a whole number", value);
      request.id = value.is_string() ? value.get<std::string>() : value.dump();
      return Done{};
    }
    if (key == "prompt")
      return value.is_string() ? (request.prompt = value.get<std::string>(), Status(Done{}))
                               : bad(key, "a string", value);
    if (key == "tokens")
      return tokens(value);
    if (key == "stop")
      return stop(value);
    if (key == "ignore_eos")
      return value.is_boolean() ? (request.ignoreEnd = value.get<bool>(), Status(Done{}))
                                : bad(key, "true or false", value);
    for (const RequestField &field : requestFields())
      if (key == field.name)
        return whole(key, value, request.*field.field, field.low, field.high);
    if (key == "seed") {
      std::optional<uint64_t> seed = value.is_number_integer() ? parseSeed(value.dump()) : std::nullopt;
      if (!seed)
        return bad(key, value.is_number() ? seedRange : "a whole number", value);
      request.sampling.seed = *seed;
      return Done{};
    }
    if (key == "logit_bias")
      return bias(value);
    if (auto notation = constraintField(key))
      return constraint(key, *notation, value);
    if (key == "sampling_order") {
      if (!value.is_string())
        return bad(key, "names of sampling steps with commas between", value);
      auto order = samplingOrder(value.get<std::string>());
      if (!order)
        return fail(order.error().code, "%s: %s", where.c_str(), order.error().message.c_str());
      request.sampling.order = std::move(*order);
      return Done{};
    }
    for (const SamplingField &field : samplingFields()) {
      if (key != field.name)
        continue;
      if (field.whole ? !value.is_number_integer() : !value.is_number())
        return bad(key, field.whole ? "a whole number" : "a number", value);
      Status ok = field.set(request.sampling, value.get<double>());
      return ok ? ok : Status(fail(ok.error().code, "%s: %s", where.c_str(), ok.error().message.c_str()));
    }
    return fail(ErrorCode::RequestField, "%s: expects a field that generate knows, but got \"%s\"", where.c_str(),
                key.c_str());
  }

private:
  Status bad(const std::string &key, const char *expected, const json &value) {
    return badField(where, key, expected, value);
  }
  Status whole(const std::string &key, const json &value, int64_t &field, int64_t low, int64_t high) {
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) ||
        value.get<int64_t>() < low || value.get<int64_t>() > high)
      return badField(where, key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high), value);
    field = value.get<int64_t>();
    return Done{};
  }
  Status tokens(const json &value) {
    std::vector<int32_t> ids;
    if (!value.is_array())
      return bad("tokens", "an array of ids", value);
    for (const json &id : value) {
      int64_t number = 0;
      if (Status ok = whole("tokens", id, number, 0, INT32_MAX); !ok)
        return ok;
      ids.push_back(static_cast<int32_t>(number));
    }
    request.tokens = std::move(ids);
    return Done{};
  }
  Status stop(const json &value) {
    request.stops.clear();
    auto take = [&](const json &text) {
      bool good = text.is_string() && !text.get_ref<const std::string &>().empty();
      if (good)
        request.stops.push_back(text.get<std::string>());
      return good;
    };
    if (value.is_array()) {
      for (const json &text : value)
        if (!take(text))
          return bad("stop", "strings that are not empty", text);
    } else if (!take(value)) {
      return bad("stop", "a string that is not empty, or an array of such", value);
    }
    return Done{};
  }
  Status constraint(const std::string &key, grammar::Notation notation, const json &value) {
    std::optional<std::string> text = constraintText(notation, value);
    if (!text)
      return bad(key,
                 notation == grammar::Notation::JsonSchema ? "a schema, as an object or a text"
                 : notation == grammar::Notation::Choices  ? "an array of strings"
                                                           : "a string",
                 value);
    if (!constrainedBy.empty())
      return fail(ErrorCode::RequestField, "%s: expects %s or %s, but got both", where.c_str(), constrainedBy.c_str(),
                  key.c_str());
    constrainedBy = key;
    Result<std::shared_ptr<const grammar::Network>> network = grammar::compileConstraint(notation, *text);
    if (!network)
      return fail(network.error().code, "%s: %s: %s", where.c_str(), key.c_str(), network.error().message.c_str());
    request.grammar = std::move(*network);
    return Done{};
  }
  Status bias(const json &value) {
    if (!value.is_object())
      return bad("logit_bias", "an object of ids and numbers", value);
    request.sampling.logitBias.clear();
    for (const auto &[key, number] : value.items()) {
      std::optional<int64_t> id = parseInteger(key);
      // JSON has no infinity, which forbids a token: it comes as "-inf".
      std::optional<double> bias = number.is_number()   ? std::optional(number.get<double>())
                                   : number.is_string() ? parseReal(number.get<std::string>())
                                                        : std::nullopt;
      if (!id || *id < 0 || *id > INT32_MAX || !bias || (number.is_string() && std::isfinite(*bias)))
        return bad("logit_bias", "an object of ids and numbers, or \"-inf\"", value);
      request.sampling.logitBias.emplace_back(static_cast<int32_t>(*id), static_cast<float>(*bias));
    }
    return Done{};
  }
  Request &request;
  const std::string &where;
  std::string constrainedBy; ///< the field that says what the answer has to be
};

} // namespace

const std::vector<RequestField> &requestFields() {
  static const std::vector<RequestField> fields = {
      {"max_tokens", "max-tokens", &Request::maxTokens, 0, INT32_MAX},
      {"n", "answers", &Request::answers, 1, 1024},
      {"logprobs", "logprobs", &Request::probabilities, 0, 20},
  };
  return fields;
}

Option limited(Option option) {
  for (const RequestField &field : requestFields())
    if (!std::strcmp(option.name, field.option))
      option.whole(field.low, field.high);
  return option;
}

std::optional<uint64_t> parseSeed(const std::string &text) {
  if (std::optional<int64_t> number = parseInteger(text))
    return static_cast<uint64_t>(*number);
  uint64_t large = 0;
  const char *end = text.data() + text.size();
  auto [stopped, problem] = std::from_chars(text.data(), end, large);
  if (text.empty() || problem != std::errc() || stopped != end)
    return std::nullopt;
  return large;
}

std::vector<Option> samplingOptions(const SamplingOptions &defaults) {
  // Names of options live as long as the program, as those of other tables do.
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const SamplingField &field : samplingFields())
      all.push_back(dashed(field.name));
    return all;
  }();
  std::vector<Option> table = {{nullptr, 0, nullptr, "Sampling"}};
  for (size_t i = 0; i < names.size(); ++i) {
    const SamplingField &field = samplingFields()[i];
    Option option(names[i].c_str(), 0, field.argument, field.meaning);
    // Its limits are those of the field, and checked there.
    table.push_back(field.real ? option.real().by(shown(defaults.*field.real))
                               : option.whole(INT64_MIN, INT64_MAX).by(std::to_string(defaults.*field.whole)));
  }
  table.push_back(Option("logit-bias", 0, "ID=B", "add B to a token's logit; -inf forbids it").repeats());
  table.push_back(Option("sampling-order", 0, "LIST", "the steps that are applied, in their order")
                      .among(samplingStepNames())
                      .lists());
  table.push_back(
      Option("seed", 0, "S", "of the random numbers, which depend on nothing else but the position").by("0"));
  return table;
}

Status readRequest(const Arguments &arguments, Request &request) {
  auto declared = [&](const char *name) {
    const std::vector<Option> &table = arguments.command().options;
    return std::any_of(table.begin(), table.end(),
                       [&](const Option &option) { return !option.isHeading() && !std::strcmp(option.name, name); });
  };
  for (const RequestField &field : requestFields())
    if (declared(field.option))
      request.*field.field = arguments.integer(field.option, request.*field.field);
  request.stops = arguments.all("stop");
  if (std::count(request.stops.begin(), request.stops.end(), ""))
    return arguments.usage("expects a text that is not empty for --stop, but got \"\"");
  for (const SamplingField &field : samplingFields()) {
    const std::string name = dashed(field.name);
    const double value = field.real ? arguments.real(name.c_str()) : double(arguments.integer(name.c_str()));
    if (Status ok = field.set(request.sampling, value); !ok)
      return fail(ok.error().code, "expects %s for --%s, but got \"%s\"", field.range().c_str(), name.c_str(),
                  arguments.value(name.c_str()).c_str());
  }
  const std::string seedText = arguments.value("seed");
  std::optional<uint64_t> seed = parseSeed(seedText);
  if (!seed)
    return arguments.usage(std::string("expects ") + seedRange + " for --seed, but got \"" + seedText + "\"");
  request.sampling.seed = *seed;
  for (const std::string &text : arguments.all("logit-bias")) {
    size_t equals = text.find('=');
    auto id = parseInteger(text.substr(0, equals));
    auto value = equals == std::string::npos ? std::nullopt : parseReal(text.substr(equals + 1));
    if (!id || *id < 0 || *id > INT32_MAX || !value)
      return arguments.usage("expects ID=NUMBER for logit-bias, but got \"" + text + "\"");
    request.sampling.logitBias.emplace_back(static_cast<int32_t>(*id), static_cast<float>(*value));
  }
  if (auto text = arguments.text("sampling-order")) {
    auto order = samplingOrder(*text);
    if (!order)
      return order.error();
    request.sampling.order = std::move(*order);
  }
  auto constraint = readConstraint(arguments);
  if (!constraint)
    return constraint.error();
  request.grammar = std::move(*constraint);
  return Done{};
}

Status readRequest(const json &object, Request &request, const std::string &where) {
  if (!object.is_object())
    return badField(where, "request", "an object", object);
  FieldReader reader(request, where);
  if (auto id = object.find("id"); id != object.end())
    if (Status ok = reader.read("id", *id); !ok)
      return ok;
  for (const auto &[key, value] : object.items())
    if (Status ok = reader.read(key, value); !ok)
      return ok;
  if (object.contains("tokens") && object.contains("prompt"))
    return fail(ErrorCode::RequestField, "%s: expects prompt or tokens, but got both", where.c_str());
  if (!request.prompt && !request.tokens)
    return fail(ErrorCode::RequestField, "%s: expects prompt or tokens, but got neither", where.c_str());
  return Done{};
}

/// Reads `words`, the text of one line, which begins at `offset` of its file.
static Status readLine(const std::string &words, size_t offset, RequestLine &line) {
  Result<json> object = parseJson<json>(words, line.where, offset);
  return object ? readRequest(*object, line.request, line.where) : Status(object.error());
}

Result<std::vector<RequestLine>> readRequests(const std::string &text, const Request &defaults,
                                              const std::string &file) {
  std::vector<RequestLine> lines;
  std::map<std::string, std::string> seen; // id -> where
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    const size_t begin = at;
    std::string words = text.substr(begin, end - begin);
    at = end + 1;
    ++number;
    if (words.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    RequestLine line{defaults, file + ": line " + std::to_string(number), std::nullopt};
    line.request.id.clear();
    if (Status read = readLine(words, begin, line); !read)
      line.refusal = read.error();
    if (line.request.id.empty())
      line.request.id = std::to_string(lines.size());
    auto [before, isNew] = seen.try_emplace(line.request.id, "line " + std::to_string(number));
    if (!isNew && !line.refusal)
      line.refusal = fail(ErrorCode::RequestField, "%s: id: expects one of its own, but %s has it too",
                          line.where.c_str(), before->second.c_str());
    lines.push_back(std::move(line));
  }
  if (lines.empty())
    return fail(ErrorCode::RequestField, "%s: expects at least one request, but there is none", file.c_str());
  return lines;
}

Result<std::vector<int32_t>> promptOf(const Request &request, const Tokenizer &tokenizer, bool addSpecial) {
  if (request.tokens) {
    if (Status ok = tokenizer.check(*request.tokens); !ok)
      return ok.error();
    return *request.tokens;
  }
  EncodeOptions options;
  options.addSpecial = addSpecial;
  options.parseSpecial = true; // a raw prompt is the caller's own, template and all
  return tokenizer.encode(*request.prompt, options);
}

} // namespace stepdown::run
