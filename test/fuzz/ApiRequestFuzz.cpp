// Any bytes as the body of a request to the server: read or refused with the number of an error, naming a field that is
// text, and in bounded words.
#include "tools/stepdown-run/Serve/ApiRequest.h"

#include <cstdlib>

using namespace stepdown;
using namespace stepdown::run;

namespace {

void expect(bool good) {
  if (!good)
    std::abort();
}

void expectGood(const std::optional<Refusal> &refusal) {
  if (!refusal)
    return;
  const int code = static_cast<int>(refusal->error.code);
  expect(code == 611 || code == 701 || code == 908 || code == 1208 || (code >= 1301 && code <= 1317));
  expect(!refusal->error.message.empty() && refusal->error.message.size() < 1000 && refusal->field.size() < 200);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view body(reinterpret_cast<const char *>(data), size);
  for (Endpoint endpoint : {Endpoint::Completions, Endpoint::Chat}) {
    ApiRequest request;
    const std::optional<Refusal> refusal = readApiRequest(body, endpoint, request);
    expectGood(refusal);
    // The other paths begin with the same call, which refuses what is no JSON.
    if (refusal && refusal->error.code == ErrorCode::JsonSyntax && refusal->field.empty())
      return 0;
    if (refusal)
      continue;
    const Request &asked = request.asked;
    expect(asked.maxTokens >= 0 && asked.answers >= 1 && asked.answers <= 1024);
    expect(asked.probabilities >= -1 && asked.probabilities <= 20 && asked.stops.size() <= 64);
    expect(endpoint == Endpoint::Chat ? !request.messages.empty() : !request.prompts.empty());
    expect(bool(checkRanges(asked.sampling)));
  }
  TokenizeRequest request;
  const std::optional<Refusal> refusal = readTokenizeRequest(body, request);
  expectGood(refusal);
  expect(refusal || request.prompt.has_value() == request.messages.empty());
  EmbeddingRequest embedding;
  const std::optional<Refusal> unembedded = readEmbeddingRequest(body, embedding);
  expectGood(unembedded);
  expect(unembedded || (!embedding.inputs.empty() && embedding.dimensions >= 0));
  return 0;
}
