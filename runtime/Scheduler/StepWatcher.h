// Who looks on while a scheduler steps.
#pragma once
#include <cstddef>

namespace stepdown {

class RequestClient;

/// Called on the thread that steps, which waits for it.
class StepWatcher {
public:
  virtual ~StepWatcher() = default;
  /// The step that comes computes `tokens` for `client`: of its prompt, or of what it drew and guessed.
  virtual void takes(const RequestClient &client, size_t tokens, bool ofPrompt) = 0;
  /// The model computes from here to stepped().
  virtual void stepping() = 0;
  virtual void stepped() = 0;
  /// `client` has drawn from its rows.
  virtual void drew(const RequestClient &client) = 0;
};

} // namespace stepdown
