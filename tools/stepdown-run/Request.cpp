#include "tools/stepdown-run/Request.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace stepdown::run {
namespace {

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
  std::string text = actual.is_structured() ? std::string("an ") + actual.type_name()
                                            : actual.dump(-1, ' ', false, json::error_handler_t::replace);
  return fail(ErrorCode::RequestField, "%s: %s: expects %s, but got %s", where.c_str(), field.c_str(), expected.c_str(),
              text.size() > 60 ? (text.substr(0, 57) + "...").c_str() : text.c_str());
}

/// Reads one object field by field, keeping the first refusal.
class FieldReader {
public:
  FieldReader(Request &request, const std::string &where) : request(request), where(where) {}
  Status read(const std::string &key, const json &value) {
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
      return value.is_boolean() ? (request.ignoreEos = value.get<bool>(), Status(Done{}))
                                : bad(key, "true or false", value);
    if (key == "max_tokens")
      return whole(key, value, request.maxTokens, 0, INT32_MAX);
    if (key == "n")
      return whole(key, value, request.answers, 1, 1024);
    if (key == "logprobs")
      return whole(key, value, request.probabilities, 0, 20);
    if (key == "seed") {
      if (!value.is_number_integer())
        return bad(key, "a whole number", value);
      request.sampling.seed =
          value.is_number_unsigned() ? value.get<uint64_t>() : static_cast<uint64_t>(value.get<int64_t>());
      return Done{};
    }
    if (key == "logit_bias")
      return bias(value);
    if (key == "sampling_order") {
      if (!value.is_string())
        return bad(key, "names of sampling steps with commas between", value);
      auto order = samplingOrder(value.get<std::string>());
      if (!order)
        return fail(ErrorCode::RequestField, "%s: %s", where.c_str(), order.error().message.c_str());
      request.sampling.order = std::move(*order);
      return Done{};
    }
    for (const SamplingField &field : samplingFields()) {
      if (key != field.name)
        continue;
      if (field.whole) {
        int64_t number = 0;
        Status ok = whole(key, value, number, 0, INT32_MAX);
        request.sampling.*field.whole = static_cast<int32_t>(number);
        return ok;
      }
      if (!value.is_number())
        return bad(key, "a number", value);
      request.sampling.*field.real = value.get<float>();
      return Done{};
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
  Status bias(const json &value) {
    if (!value.is_object())
      return bad("logit_bias", "an object of ids and numbers", value);
    request.sampling.logitBias.clear();
    for (const auto &[key, number] : value.items()) {
      std::optional<int64_t> id = parseInteger(key);
      if (!id || *id < 0 || *id > INT32_MAX || !number.is_number())
        return bad("logit_bias", "an object of ids and numbers", value);
      request.sampling.logitBias.emplace_back(static_cast<int32_t>(*id), number.get<float>());
    }
    return Done{};
  }
  Request &request;
  const std::string &where;
};

} // namespace

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
    table.push_back(field.real ? option.real().by(shown(defaults.*field.real))
                               : option.whole(0, INT32_MAX).by(std::to_string(defaults.*field.whole)));
  }
  table.push_back(Option("logit-bias", 0, "ID=B", "add B to a token's logit; -inf forbids it").repeats());
  table.push_back(Option("sampling-order", 0, "LIST", "the steps that are applied, in their order")
                      .oneOf(samplingStepNames())
                      .lists());
  table.push_back(Option("seed", 0, "S", "of the random numbers, which depend on nothing else but the position")
                      .whole(INT64_MIN, INT64_MAX)
                      .by("0"));
  return table;
}

Status readRequest(const Arguments &arguments, Request &request) {
  for (const SamplingField &field : samplingFields()) {
    const std::string name = dashed(field.name);
    if (field.real)
      request.sampling.*field.real = static_cast<float>(arguments.real(name.c_str()));
    else
      request.sampling.*field.whole = static_cast<int32_t>(arguments.integer(name.c_str()));
  }
  request.sampling.seed = static_cast<uint64_t>(arguments.integer("seed"));
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
  return Done{};
}

Result<Request> readRequest(const json &object, const Request &defaults, const std::string &where) {
  Request request = defaults;
  if (!object.is_object())
    return badField(where, "request", "an object", object);
  FieldReader reader(request, where);
  for (const auto &[key, value] : object.items())
    if (Status ok = reader.read(key, value); !ok)
      return ok.error();
  if (object.contains("tokens") && object.contains("prompt"))
    return fail(ErrorCode::RequestField, "%s: expects prompt or tokens, but got both", where.c_str());
  if (!request.prompt && !request.tokens)
    return fail(ErrorCode::RequestField, "%s: expects prompt or tokens, but got neither", where.c_str());
  return request;
}

Result<std::vector<Request>> readRequests(const std::string &text, const Request &defaults, const std::string &file) {
  std::vector<Request> requests;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string words = text.substr(at, end - at);
    at = end + 1;
    ++line;
    if (words.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    std::string where = file + ": line " + std::to_string(line);
    json object = json::parse(words, nullptr, false);
    if (object.is_discarded())
      return fail(ErrorCode::JsonSyntax, "%s: expects a JSON object", where.c_str());
    Result<Request> request = readRequest(object, defaults, where);
    if (!request)
      return request.error();
    if (request->id.empty())
      request->id = std::to_string(requests.size());
    requests.push_back(std::move(*request));
  }
  if (requests.empty())
    return fail(ErrorCode::RequestField, "%s: expects at least one request, but there is none", file.c_str());
  return requests;
}

Result<std::vector<int32_t>> promptOf(const Request &request, const Tokenizer &tokenizer) {
  if (request.tokens) {
    if (Status ok = tokenizer.check(*request.tokens); !ok)
      return ok.error();
    return *request.tokens;
  }
  EncodeOptions options;
  options.parseSpecial = true; // a raw prompt is the caller's own, template and all
  return tokenizer.encode(*request.prompt, options);
}

} // namespace stepdown::run
