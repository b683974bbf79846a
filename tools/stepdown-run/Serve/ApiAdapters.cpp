// /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM has them: adapters come and go while a model is served. A
// path names a file of this machine, so the server has to be started with --change-adapters.
#include "lib/Base/StrictJson.h"
#include "tools/stepdown-run/Serve/Api.h"
#include "tools/stepdown-run/Serve/ApiFields.h"

namespace stepdown::run {
namespace {

using nlohmann::json;

struct AdapterRequest {
  std::string model, name, path;
  double scale = 1;
};

Refused readRequest(std::string_view body, bool load, AdapterRequest &request) {
  Result<json> object = parseJson<json>(body, "request");
  if (!object)
    return Refusal{object.error(), ""};
  if (!object->is_object())
    return bad("request", "an object", *object);
  for (const auto &[key, value] : object->items()) {
    Refused no;
    if (key == "model")
      no = readText(value, key, request.model);
    else if (key == "lora_name")
      no = readText(value, key, request.name);
    else if (key == "lora_path" && load)
      no = readText(value, key, request.path);
    else if (key == "scale" && load && value.is_number())
      request.scale = value.get<double>();
    else
      no = bad(key.substr(0, 100), load ? "model, lora_name, lora_path and scale, a number" : "model and lora_name",
               value);
    if (no)
      return no;
  }
  if (request.name.empty())
    return bad("lora_name", "a name", json());
  if (load && request.path.empty())
    return bad("lora_path", "a file or folder of the server", json());
  return std::nullopt;
}

} // namespace

void Api::loadAdapter(Exchange &exchange) { changeAdapters(exchange, true); }
void Api::unloadAdapter(Exchange &exchange) { changeAdapters(exchange, false); }

void Api::changeAdapters(Exchange &exchange, bool load) {
  if (!options.changeAdapters)
    return refuse(exchange,
                  {fail(ErrorCode::RequestUnsupported, "%s: expects a server that was started with --change-adapters",
                        exchange.request.path.c_str()),
                   ""});
  AdapterRequest request;
  if (Refused no = readRequest(exchange.request.body, load, request))
    return refuse(exchange, *no);
  ServedModel *model = generatorOf(exchange, request.model);
  if (!model)
    return;
  const Status done = model->engine->between([&](Session &session) -> Status {
    if (!load)
      return session.unloadAdapter(request.name);
    const Result<int32_t> loaded = session.loadAdapter(request.name, request.path, request.scale);
    return loaded ? Status(Done{}) : loaded.error();
  });
  if (!done)
    return refuse(exchange, {done.error(), load ? "lora_path" : "lora_name"});
  send(exchange, 200, "application/json", jsonText({{"model", model->id + ":" + request.name}, {"loaded", load}}));
}

} // namespace stepdown::run
