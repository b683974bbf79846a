#include "runtime/driver/Kernels.h"

#include "runtime/Checksum.h"
#include "runtime/driver/DriverRecords.h"
#include <algorithm>
#include <cstring>

namespace stepdown::driver {

using ull = unsigned long long;

Kernels::~Kernels() {
  if (!context.enter())
    return;
  for (auto &[place, module] : modules)
    context.driver.endModule(module.handle);
}

Result<uint64_t> Kernels::addCode(const uint8_t *bytes, size_t size, uint64_t checksum) {
  std::vector<uint8_t> copy(bytes, bytes + size);
  if (checksumOf(copy.data(), size) != checksum)
    return fail(ErrorCode::ArtifactChecksum, "code: expects checksum %016llx, but the bytes changed while being loaded",
                (ull)checksum);
  std::lock_guard<std::mutex> lock(mutex);
  sections.push_back(std::move(copy));
  return sections.size();
}

Result<const Kernels::Module *> Kernels::moduleAt(uint64_t code, uint64_t offset) {
  if (auto known = modules.find({code, offset}); known != modules.end())
    return &known->second;
  if (code - 1 >= sections.size() || offset > std::next(sections.begin(), code - 1)->size() || offset % 8)
    return fail(ErrorCode::LaunchUnsupported,
                "code: expects an image at a multiple of 8 of a loaded section, but got offset %llu", (ull)offset);
  const std::vector<uint8_t> &section = *std::next(sections.begin(), code - 1);
  Result<KernelImage> image = locateImage(section.data() + offset, section.size() - offset);
  if (!image)
    return image.error();
  // A driver is told no length: a text ends with a zero, and machine code says itself where it ends.
  const bool machineCode = image->codeBytes >= 64 && !std::memcmp(image->code,
                                                                  "\x7f"
                                                                  "ELF",
                                                                  4);
  if (!machineCode && (image->codeBytes == 0 || image->code[image->codeBytes - 1] != 0))
    return fail(ErrorCode::LaunchUnsupported,
                "code: expects PTX or machine code of %s in the image at offset %llu, but got neither",
                context.driver.vendor->name, (ull)offset);
  char log[2048] = {};
  int options[] = {kErrorLog, kErrorLogBytes};
  void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
  Module module{std::move(*image), nullptr};
  const unsigned count = context.driver.vendor == &kNvidia ? 2 : 0;
  // Machine code of the very chip, which the driver may be too old for: then it makes its own of the PTX.
  if (count && module.image.operationBytes >= 64 &&
      !std::memcmp(module.image.operations,
                   "\x7f"
                   "ELF",
                   4))
    if (int error = context.driver.loadModule(&module.handle, module.image.operations, 0, nullptr, nullptr)) {
      const Error refused = context.refused(error, ErrorCode::DriverCode, "machine code that it takes");
      if (refused.code == ErrorCode::DeviceLost)
        return refused;
      module.handle = nullptr;
    }
  if (module.handle)
    return &modules.emplace(std::make_pair(code, offset), std::move(module)).first->second;
  if (int error = context.driver.loadModule(&module.handle, module.image.code, count, options, values)) {
    const std::string first(module.image.kernels.empty() ? "" : module.image.kernels.front().name);
    return context.refused(error, ErrorCode::DriverCode,
                           first + ": code that it takes" + (log[0] ? ", which says " + std::string(log) : ""));
  }
  return &modules.emplace(std::make_pair(code, offset), std::move(module)).first->second;
}

/// The parameters that the image lists are those of the code, where the driver tells of them.
Status Kernels::checkParameters(const PreparedKernel &kernel) const {
  if (!context.driver.parameterPlace)
    return Done{};
  constexpr int beyond = 1; // the number of a parameter that the kernel lacks
  size_t offset = 0, bytes = 0, count = 0, end = 0;
  for (; count <= kernel.places.size(); ++count) {
    const int error = context.driver.parameterPlace(kernel.function, count, &offset, &bytes);
    if (error && error != beyond)
      return context.refused(error, ErrorCode::DriverCode, kernel.name + ": to be told of its parameters");
    if (error || (count < kernel.places.size() && offset != kernel.places[count]))
      break;
    end = offset + bytes;
  }
  if (count == kernel.places.size() && end == kernel.bytes)
    return Done{};
  return fail(ErrorCode::DriverCode,
              "%s: expects %zu parameters in %zu bytes, as the image says, but parameter %zu of its code is another",
              kernel.name.c_str(), kernel.places.size(), kernel.bytes, count);
}

/// Block, cluster and shared memory are what the GPU can launch the kernel with.
Status Kernels::checkShape(const PreparedKernel &kernel) const {
  const Driver &driver = context.driver;
  const stepdown_launch &launch = kernel.launch;
  const char *name = kernel.name.c_str();
  int most = 0, fixed = 0;
  if (int error = driver.functionAttribute(&most, kThreadsOfBlock, kernel.function))
    return context.refused(error, ErrorCode::DriverCode, kernel.name + ": to be told of its threads");
  if (int error = driver.functionAttribute(&fixed, kStaticShared, kernel.function))
    return context.refused(error, ErrorCode::DriverCode, kernel.name + ": to be told of its shared memory");
  ull threads = 1;
  for (uint32_t size : launch.block)
    threads = std::min<ull>(threads * size, 1ull << 32);
  if (threads > ull(most))
    return fail(ErrorCode::LaunchUnsupported, "%s: block: expects at most %d threads on device %s, but got %llu", name,
                most, context.device, threads);
  const bool clusters = launch.cluster[0] != 1 || launch.cluster[1] != 1 || launch.cluster[2] != 1;
  if (clusters && !driver.launchClusters)
    return fail(ErrorCode::LaunchUnsupported, "%s: expects clusters of one block on device %s, but got %u x %u x %u",
                name, context.device, launch.cluster[0], launch.cluster[1], launch.cluster[2]);
  for (const stepdown_kernel_parameter &parameter : kernel.kernel.parameters)
    if (parameter.holds == STEPDOWN_HOLDS_MAP && !driver.encodeMap)
      return fail(ErrorCode::LaunchUnsupported, "%s: expects no tensor maps on device %s", name, context.device);
  if (!driver.setFunctionAttribute || launch.shared_bytes == 0)
    return Done{};
  int shared = 0;
  if (int error = driver.attribute(&shared, kOptInShared, context.gpu.number))
    return context.refused(error, ErrorCode::DriverRefused, "to be told of its shared memory");
  if (launch.shared_bytes > uint32_t(shared - fixed))
    return fail(ErrorCode::LaunchUnsupported,
                "%s: shared memory: expects at most %d bytes on device %s, but got %u and %d of its code", name, shared,
                context.device, launch.shared_bytes, fixed);
  if (int error = driver.setFunctionAttribute(kernel.function, kDynamicShared, int(launch.shared_bytes)))
    return context.refused(error, ErrorCode::DriverCode,
                           kernel.name + ": " + std::to_string(launch.shared_bytes) + " bytes of shared memory");
  return Done{};
}

Result<uint64_t> Kernels::add(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch) {
  if (!name)
    return fail(ErrorCode::LaunchUnsupported,
                "code: expects entries of device %s by name, but the one at offset %llu has none", context.device,
                (ull)offset);
  if (Status entered = context.enter(); !entered)
    return entered.error();
  std::lock_guard<std::mutex> lock(mutex);
  Result<const Module *> module = moduleAt(code, offset);
  if (!module)
    return module.error();
  const ImageKernel *found = (*module)->image.find(name);
  if (!found)
    return fail(ErrorCode::LaunchUnsupported, "code: expects a kernel %s in the image at offset %llu", name,
                (ull)offset);
  PreparedKernel kernel{*found, name, nullptr, launch, parameterPlaces(*found), parameterBytes(*found)};
  if (int error = context.driver.function(&kernel.function, (*module)->handle, name))
    return context.refused(error, ErrorCode::DriverCode, std::string(name) + ": a kernel of this name");
  if (Status good = checkParameters(kernel); !good)
    return good.error();
  if (Status good = checkShape(kernel); !good)
    return good.error();
  kernels.push_back(std::move(kernel));
  return kernels.size();
}

Result<const PreparedKernel *> Kernels::find(uint64_t kernel) const {
  std::lock_guard<std::mutex> lock(mutex);
  if (kernel - 1 >= kernels.size())
    return fail(ErrorCode::KernelLaunch, "launch: expects one of %zu kernels, but got %llu", kernels.size(),
                (ull)kernel);
  return &kernels[kernel - 1];
}

} // namespace stepdown::driver
