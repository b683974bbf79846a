// The product of NVIDIA's cublasLt, opened where it is installed: the best of the algorithms that it proposes.
#pragma once
#include "lib/Base/Result.h"
#include "tools/stepdown-device-check/Cases.h"
#include <functional>
#include <memory>

namespace stepdown::devicecheck {

class Peer {
public:
  virtual ~Peer() = default;
  /// How a table calls it.
  virtual std::string name() const = 0;
  /// Puts the work into `stream`; false where it failed.
  virtual bool run(void *stream) = 0;
};

/// Times `once` as the caller does, in microseconds; less than 0 where it failed.
using TimeOnce = std::function<double(const std::function<bool()> &once)>;

/// For row-major arrays at device addresses `a`, `b` and `c`; `workspace` [workspaceBytes] belongs to it. Null, with
/// why in `said`, where the library is not there or has nothing for the case.
std::unique_ptr<Peer> makeProductPeer(const Case &each, uint64_t a, uint64_t b, uint64_t c, uint64_t workspace,
                                      size_t workspaceBytes, void *stream, const TimeOnce &time, std::string &said);

} // namespace stepdown::devicecheck
