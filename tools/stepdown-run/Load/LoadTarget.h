// What a load is sent to: an engine of this process, or a server of OpenAI's interface.
#pragma once
#include "lib/Base/Result.h"
#include "tools/stepdown-run/Load/Load.h"
#include <functional>
#include <memory>

namespace stepdown {
class Engine;
}

namespace stepdown::run {

class LoadTarget {
public:
  virtual ~LoadTarget() = default;
  /// Sends `request` and waits for its answer, of exactly so many tokens; `came` is called for each token or several.
  /// Any number of threads at once. Returns how many tokens came in all.
  virtual Result<size_t> answer(const LoadRequest &request, const std::function<void()> &came) = 0;
  /// Has every answer() return soon, with an error where it is not done. Once, from any thread.
  virtual void stop() = 0;
};

/// Requests go to `engine`, which must outlive it, and nothing through HTTP.
std::unique_ptr<LoadTarget> engineTarget(Engine &engine);

/// The server at `url`, "http://HOST:PORT" with an address in numbers or localhost, and nothing behind it. Its first
/// model answers. `key` is empty or its key. A server that says nothing for `silence` seconds, of those that are waited
/// for, is given up. E0905 for another kind of address, E0901 where nobody answers there.
Result<std::unique_ptr<LoadTarget>> serverTarget(const std::string &url, const std::string &key, double silence);

/// What may wait at a time: each request has a thread. More fail.
struct LoadLimits {
  size_t requests = 4096;
  size_t tokens = size_t(1) << 26; ///< of their prompts, but for one that is alone
  size_t clients = 0; ///< of which each sends when it has its answer, whatever the times of requests; 0: these count
};

/// Sends each request of `load` at its time, whether those before are answered or not, or, where there are clients,
/// when one of these has its answer, which is when it came; and waits for all answers. Where `interrupted` says so,
/// nothing more is sent and `target` is stopped; then there are outcomes of what was sent.
std::vector<LoadOutcome> runLoad(const std::vector<LoadRequest> &load, LoadTarget &target, bool (*interrupted)(),
                                 const LoadLimits &limits = {});

} // namespace stepdown::run
