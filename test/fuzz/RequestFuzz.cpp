// Any text as a file of requests: read or refused, naming the line.
#include "tools/stepdown-run/Request.h"

#include <cstdlib>

using namespace stepdown;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  auto requests = run::readRequests(text, {}, "input");
  if (!requests && requests.error().message.rfind("input: ", 0) != 0)
    std::abort();
  if (requests)
    for (const auto &[request, where, refusal] : *requests)
      if (refusal ? refusal->message.rfind(where + ": ", 0) != 0
                  : request.maxTokens < 0 || request.answers < 1 || bool(request.prompt) == bool(request.tokens))
        std::abort();
  return 0;
}
