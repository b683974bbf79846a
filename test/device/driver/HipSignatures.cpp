#include "test/device/driver/Signatures.h"
#ifdef STEPDOWN_HAS_HIP
#define __HIP_PLATFORM_AMD__ 1
#include "runtime/driver/DriverRecords.h"
#include <cstdint>
#include <hip/hip_runtime_api.h>
#endif

namespace stepdown::test {

#ifdef STEPDOWN_HAS_HIP
// In C++ hipMalloc is a template too; this is the function beside it.
hipError_t plainMalloc(void **address, size_t bytes);
static_assert(static_cast<decltype(&plainMalloc)>(hipMalloc) != nullptr);
#define hipMalloc plainMalloc
#ifndef hipGetDeviceProperties // a header in front of ROCm 6, which has one such function
#define hipGetDevicePropertiesR0600 hipGetDeviceProperties
#endif
#endif

Compared compareHip() {
  Compared result;
#ifdef STEPDOWN_HAS_HIP
#define STEPDOWN_COMPARE(HIP, PARAMETERS) result.add(SameShape<int(*) PARAMETERS, decltype(&HIP)>::value, #HIP);
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) STEPDOWN_COMPARE(HIP, PARAMETERS)
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS)
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS) STEPDOWN_COMPARE(HIP, PARAMETERS)
#include "runtime/driver/DriverFunctions.def"
  using namespace driver;
#define STEPDOWN_SAME(OURS, THEIRS) result.add(OURS == THEIRS, #OURS);
  STEPDOWN_SAME(kOutOfMemory, hipErrorOutOfMemory)
  STEPDOWN_SAME(kNotReady, hipErrorNotReady)
  for (int error : {hipErrorDeinitialized, hipErrorInvalidContext, hipErrorECCNotCorrectable, hipErrorIllegalAddress,
                    hipErrorLaunchTimeOut, hipErrorAssert, hipErrorLaunchFailure, hipErrorUnknown}) {
    bool known = false;
    for (int lost : kLost)
      known |= lost == error;
    result.add(known, "kLost");
  }
  STEPDOWN_SAME(kOwnOrder, unsigned(hipStreamNonBlocking))
  STEPDOWN_SAME(kNoTime, unsigned(hipEventDisableTiming))
  STEPDOWN_SAME(kOwnThread, int(hipStreamCaptureModeThreadLocal))
  STEPDOWN_SAME(kThreadsOfBlock, HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)
  STEPDOWN_SAME(kStaticShared, HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)
#endif
  return result;
}

} // namespace stepdown::test
