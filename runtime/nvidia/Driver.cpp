#include "runtime/nvidia/Driver.h"

#include <dlfcn.h>

namespace stepdown::nvidia {
namespace {
constexpr const char *kLibrary = "libcuda.so.1";
// Of the CUDA driver API: every function returns 0, or the number of an error.
using Init = int(unsigned flags);
using GetCount = int(int *count);
} // namespace

Status findDriver() {
  void *library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL); // stays open: drivers do not survive being closed
  if (!library) {
    const char *said = dlerror();
    return fail(ErrorCode::DriverMissing, "device %s: expects NVIDIA's driver, but %s", kDevice,
                said ? said : "it cannot be opened");
  }
  const auto init = reinterpret_cast<Init *>(dlsym(library, "cuInit"));
  const auto getCount = reinterpret_cast<GetCount *>(dlsym(library, "cuDeviceGetCount"));
  if (!init || !getCount)
    return fail(ErrorCode::DriverMissing, "device %s: expects NVIDIA's driver, but %s has no cuInit", kDevice,
                kLibrary);
  int count = 0, error = init(0);
  if (error == 0)
    error = getCount(&count);
  if (error != 0)
    return fail(ErrorCode::DriverMissing, "device %s: expects a GPU, but NVIDIA's driver says error %d", kDevice,
                error);
  if (count == 0)
    return fail(ErrorCode::DriverMissing, "device %s: expects a GPU, but NVIDIA's driver finds none", kDevice);
  return Done{};
}

} // namespace stepdown::nvidia
