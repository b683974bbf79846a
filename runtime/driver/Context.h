// A GPU in use: its driver, the context that calls of a thread belong to, and whether it was lost.
//
// Some errors of a driver leave nothing that can be used: a kernel wrote where it may not, the GPU has a fault,
// somebody took it away. Drivers tell so in whatever call comes next, and in every call behind it. So the first such
// error is kept, and whoever asks for anything of the GPU afterwards gets E1014 with it; other devices go on.
#pragma once
#include "runtime/driver/Driver.h"
#include <atomic>
#include <memory>
#include <mutex>

namespace stepdown::driver {

class Context {
public:
  /// `device` stays the caller's. E1015 where the driver makes no context.
  static Result<std::unique_ptr<Context>> open(const Driver &driver, const char *device, const Gpu &gpu);
  ~Context();
  Context(const Context &) = delete;

  const Driver &driver;
  const char *const device;
  const Gpu gpu;

  /// Makes the calling thread's calls those of this GPU. E1014 where it was lost.
  Status enter() const;
  bool lost() const { return isLost; }
  /// What to say of `error`, which the driver gave when it was to do `what`: E1014 where it is one that the GPU does
  /// not survive, else `code`.
  Error refused(int error, ErrorCode code, const std::string &what) const;
  /// Done for 0, else refused().
  Status check(int error, ErrorCode code, const char *what) const {
    return error == 0 ? Status(Done{}) : Status(refused(error, code, what));
  }
  /// E0601 of `purpose`, with the bytes that were wanted and that are free; or what refused() says.
  Error noMemory(int error, const std::string &purpose, size_t bytes) const;

private:
  Context(const Driver &driver, const char *device, const Gpu &gpu) : driver(driver), device(device), gpu(gpu) {}
  void *handle = nullptr; ///< of a driver with contexts
  mutable std::atomic<bool> isLost{false};
  mutable std::mutex mutex;
  mutable std::string first; ///< why it was lost
};

} // namespace stepdown::driver
