// Numbers and records of the drivers' interfaces, in our own words: those that a call of DriverFunctions.def takes.
// DriverSignaturesTest compares them with the vendors' headers where these are installed.
#pragma once
#include <cstddef>
#include <cstdint>

namespace stepdown::driver {

// The same numbers in CUDA (enum cudaError_enum) and HIP (hipError_t).
constexpr int kOutOfMemory = 2, kNotReady = 600;
/// Errors after which nothing on the device can be used: kernels that went wrong, faults of the machine, a context that
/// is gone.
constexpr int kLost[] = {4, 46, 201, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999};

constexpr unsigned kOwnOrder = 1; ///< of a stream: it does not wait for the default stream
constexpr unsigned kNoTime = 2;   ///< of an event: it only marks a point
constexpr int kOwnThread = 1;     ///< of a capture: only calls of its thread may not be made meanwhile

// cuDeviceGetAttribute
constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76, kOptInShared = 97, kMapsMemory = 102;
// cuFuncGetAttribute, hipFuncGetAttribute
constexpr int kThreadsOfBlock = 0, kStaticShared = 1, kDynamicShared = 8;
// cuModuleLoadDataEx: where the driver's assembler writes what it has to say
constexpr int kErrorLog = 5, kErrorLogBytes = 6;

/// CUlaunchAttribute with the one value that we set.
struct ClusterAttribute {
  int32_t id = 4; // CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
  int32_t pad = 0;
  uint32_t cluster[3] = {1, 1, 1};
  uint8_t rest[52] = {};
};
static_assert(sizeof(ClusterAttribute) == 72);

/// CUlaunchConfig.
struct LaunchConfiguration {
  uint32_t grid[3], block[3], sharedBytes;
  void *stream;
  ClusterAttribute *attributes;
  uint32_t attributeCount;
};

/// CUmemLocation.
struct Place {
  int32_t type = 1; // memory of a device
  int32_t device = 0;
};
/// CUmemAllocationProp.
struct MemoryProperties {
  int32_t type = 1; // pinned
  int32_t handles = 0;
  Place place;
  void *windows = nullptr;
  uint8_t flags[8] = {};
};
/// CUmemAccessDesc.
struct MemoryAccess {
  Place place;
  int32_t flags = 3; // read and write
};

} // namespace stepdown::driver
