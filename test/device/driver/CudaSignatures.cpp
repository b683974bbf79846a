#include "test/device/driver/Signatures.h"
#ifdef STEPDOWN_HAS_CUDA
#include "runtime/driver/DriverRecords.h"
#include <cstdint>
#include <cuda.h>
#endif

namespace stepdown::test {

Compared compareCuda() {
  Compared result;
#ifdef STEPDOWN_HAS_CUDA
#define STEPDOWN_COMPARE(CUDA, PARAMETERS) result.add(SameShape<int(*) PARAMETERS, decltype(&CUDA)>::value, #CUDA);
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) STEPDOWN_COMPARE(CUDA, PARAMETERS)
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS) STEPDOWN_COMPARE(CUDA, PARAMETERS)
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS)
#include "runtime/driver/DriverFunctions.def"
  using namespace driver;
#define STEPDOWN_SAME(OURS, THEIRS) result.add(OURS == THEIRS, #OURS);
  STEPDOWN_SAME(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY)
  STEPDOWN_SAME(kNotReady, CUDA_ERROR_NOT_READY)
  const int lost[] = {CUDA_ERROR_DEINITIALIZED,
                      CUDA_ERROR_DEVICE_UNAVAILABLE,
                      CUDA_ERROR_INVALID_CONTEXT,
                      CUDA_ERROR_ECC_UNCORRECTABLE,
                      CUDA_ERROR_NVLINK_UNCORRECTABLE,
                      CUDA_ERROR_ILLEGAL_ADDRESS,
                      CUDA_ERROR_LAUNCH_TIMEOUT,
                      CUDA_ERROR_CONTEXT_IS_DESTROYED,
                      CUDA_ERROR_ASSERT,
                      CUDA_ERROR_HARDWARE_STACK_ERROR,
                      CUDA_ERROR_ILLEGAL_INSTRUCTION,
                      CUDA_ERROR_MISALIGNED_ADDRESS,
                      CUDA_ERROR_INVALID_ADDRESS_SPACE,
                      CUDA_ERROR_INVALID_PC,
                      CUDA_ERROR_LAUNCH_FAILED,
                      CUDA_ERROR_UNKNOWN};
  static_assert(sizeof lost == sizeof kLost);
  for (size_t i = 0; i < sizeof lost / sizeof *lost; ++i)
    result.add(lost[i] == kLost[i], "kLost");
  STEPDOWN_SAME(kOwnOrder, CU_STREAM_NON_BLOCKING)
  STEPDOWN_SAME(kNoTime, CU_EVENT_DISABLE_TIMING)
  STEPDOWN_SAME(kOwnThread, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
  STEPDOWN_SAME(kCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
  STEPDOWN_SAME(kCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
  STEPDOWN_SAME(kOptInShared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)
  STEPDOWN_SAME(kMapsMemory, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED)
  STEPDOWN_SAME(kThreadsOfBlock, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK)
  STEPDOWN_SAME(kStaticShared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES)
  STEPDOWN_SAME(kDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES)
  STEPDOWN_SAME(kErrorLog, CU_JIT_ERROR_LOG_BUFFER)
  STEPDOWN_SAME(kErrorLogBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
  STEPDOWN_SAME(ClusterAttribute().id, CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
  STEPDOWN_SAME(sizeof(ClusterAttribute), sizeof(CUlaunchAttribute))
  STEPDOWN_SAME(offsetof(ClusterAttribute, cluster), offsetof(CUlaunchAttribute, value))
  STEPDOWN_SAME(sizeof(LaunchConfiguration), sizeof(CUlaunchConfig))
  STEPDOWN_SAME(offsetof(LaunchConfiguration, block), offsetof(CUlaunchConfig, blockDimX))
  STEPDOWN_SAME(offsetof(LaunchConfiguration, sharedBytes), offsetof(CUlaunchConfig, sharedMemBytes))
  STEPDOWN_SAME(offsetof(LaunchConfiguration, stream), offsetof(CUlaunchConfig, hStream))
  STEPDOWN_SAME(offsetof(LaunchConfiguration, attributes), offsetof(CUlaunchConfig, attrs))
  STEPDOWN_SAME(offsetof(LaunchConfiguration, attributeCount), offsetof(CUlaunchConfig, numAttrs))
  STEPDOWN_SAME(sizeof(MemoryProperties), sizeof(CUmemAllocationProp))
  STEPDOWN_SAME(offsetof(MemoryProperties, place.device), offsetof(CUmemAllocationProp, location.id))
  STEPDOWN_SAME(MemoryProperties().type, CU_MEM_ALLOCATION_TYPE_PINNED)
  STEPDOWN_SAME(Place().type, CU_MEM_LOCATION_TYPE_DEVICE)
  STEPDOWN_SAME(sizeof(MemoryAccess), sizeof(CUmemAccessDesc))
  STEPDOWN_SAME(offsetof(MemoryAccess, flags), offsetof(CUmemAccessDesc, flags))
  STEPDOWN_SAME(MemoryAccess().flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
  // What an image says of a tensor map, and what DriverQueue adds.
  STEPDOWN_SAME(sizeof(CUtensorMap), 128u)
  STEPDOWN_SAME(6, CU_TENSOR_MAP_DATA_TYPE_FLOAT16)
  STEPDOWN_SAME(9, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16)
  STEPDOWN_SAME(0, CU_TENSOR_MAP_DATA_TYPE_UINT8)
  STEPDOWN_SAME(7, CU_TENSOR_MAP_DATA_TYPE_FLOAT32)
  STEPDOWN_SAME(3, CU_TENSOR_MAP_SWIZZLE_128B)
  STEPDOWN_SAME(0, CU_TENSOR_MAP_INTERLEAVE_NONE)
  STEPDOWN_SAME(2, CU_TENSOR_MAP_L2_PROMOTION_L2_128B)
  STEPDOWN_SAME(0, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
#endif
  return result;
}

} // namespace stepdown::test
