#include "runtime/driver/Context.h"

#include "runtime/driver/DriverRecords.h"
#include <algorithm>
#include <iterator>

namespace stepdown::driver {

Result<std::unique_ptr<Context>> Context::open(const Driver &driver, const char *device, const Gpu &gpu) {
  std::unique_ptr<Context> made(new Context(driver, device, gpu));
  if (driver.retainContext)
    if (int error = driver.retainContext(&made->handle, gpu.number)) {
      made->handle = nullptr;
      return made->refused(error, ErrorCode::DriverRefused, "a context on " + gpu.name);
    }
  if (Status entered = made->enter(); !entered)
    return entered.error();
  return made;
}

Context::~Context() {
  if (handle)
    driver.releaseContext(gpu.number);
}

Status Context::enter() const {
  if (lost()) {
    std::lock_guard<std::mutex> lock(mutex);
    return fail(ErrorCode::DeviceLost, "device %s: expects the GPU, but it was lost before: %s", device, first.c_str());
  }
  const int error = driver.useContext ? driver.useContext(handle) : driver.useDevice(gpu.number);
  return check(error, ErrorCode::DriverRefused, "to use the GPU");
}

Error Context::refused(int error, ErrorCode code, const std::string &what) const {
  const std::string said = driver.text(error);
  if (std::find(std::begin(kLost), std::end(kLost), error) == std::end(kLost))
    return fail(code, "device %s: expects %s, but the driver says %s", device, what.c_str(), said.c_str());
  std::lock_guard<std::mutex> lock(mutex);
  if (!isLost)
    first = said;
  isLost = true;
  return fail(ErrorCode::DeviceLost, "device %s: expects %s, but the driver says %s: the GPU is lost", device,
              what.c_str(), said.c_str());
}

Error Context::noMemory(int error, const std::string &purpose, size_t bytes) const {
  if (error != kOutOfMemory)
    return refused(error, ErrorCode::DriverRefused, purpose + ": " + std::to_string(bytes) + " bytes of memory");
  size_t free = 0, total = 0;
  if (driver.memory(&free, &total) != 0)
    return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of memory of device %s, but it has no room for them",
                purpose.c_str(), bytes, device);
  return fail(ErrorCode::OutOfMemory, "%s: expects %zu bytes of memory of device %s, but %zu of its %zu are free",
              purpose.c_str(), bytes, device, free, total);
}

} // namespace stepdown::driver
