// Times work in a stream by the driver's events, each time with a cold second-level cache.
#pragma once
#include "runtime/driver/Driver.h"
#include <functional>
#include <vector>

namespace stepdown::devicecheck {

class Timer {
public:
  /// Before each piece of work `flushBytes` bytes at `flush` are written. The context is current in this thread.
  Timer(const driver::Driver &driver, void *stream, uint64_t flush, size_t flushBytes)
      : driver(driver), stream(stream), flush(flush), flushBytes(flushBytes) {}
  ~Timer();
  Timer(const Timer &) = delete;
  /// Microseconds that `work`, which puts something into the stream, takes; less than 0 where it failed.
  double once(const std::function<bool()> &work);

private:
  const driver::Driver &driver;
  void *const stream;
  const uint64_t flush;
  const size_t flushBytes;
  void *from = nullptr, *to = nullptr;
  unsigned char value = 0;
};

/// Of at least one time.
double median(std::vector<double> times);

} // namespace stepdown::devicecheck
