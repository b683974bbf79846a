#include "runtime/driver/Driver.h"

#include "runtime/driver/DriverRecords.h"
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <sys/auxv.h>
#include <vector>

namespace stepdown::driver {
namespace {

constexpr const char *kCudaLibraries[] = {"libcuda.so.1", nullptr};
constexpr const char *kHipLibraries[] = {"libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so", nullptr};

struct Entry {
  const char *cuda, *hip; ///< null: the API has none
  bool needed;
  void (*set)(Driver &driver, void *address);
};

#define STEPDOWN_ENTRY(FIELD, CUDA, HIP, NEEDED)                                                                       \
  {CUDA, HIP, NEEDED,                                                                                                  \
   [](Driver &driver, void *address) { driver.FIELD = reinterpret_cast<decltype(driver.FIELD)>(address); }},
constexpr Entry kEntries[] = {
#define STEPDOWN_DRIVER(FIELD, CUDA, HIP, PARAMETERS) STEPDOWN_ENTRY(FIELD, #CUDA, #HIP, true)
#define STEPDOWN_CUDA(FIELD, CUDA, NEEDED, PARAMETERS) STEPDOWN_ENTRY(FIELD, #CUDA, nullptr, NEEDED)
#define STEPDOWN_HIP(FIELD, HIP, NEEDED, PARAMETERS) STEPDOWN_ENTRY(FIELD, nullptr, #HIP, NEEDED)
#include "runtime/driver/DriverFunctions.def"
};
#undef STEPDOWN_ENTRY

Result<Driver> load(const Vendor &vendor, const char *device) {
  if (getauxval(AT_BASE) == 0) // no loader of shared libraries made this process
    return fail(ErrorCode::DriverMissing,
                "device %s: expects a program that can open %s's driver, but this one is linked statically", device,
                vendor.name);
  void *library = nullptr; // stays open: drivers do not survive being closed
  std::string said;
  for (const char *const *name = vendor.libraries; *name && !library; ++name) {
    library = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
    if (const char *why = library ? nullptr : dlerror(); why && said.empty())
      said = why;
  }
  if (!library)
    return fail(ErrorCode::DriverMissing, "device %s: expects %s's driver, but %s", device, vendor.name, said.c_str());
  Driver driver;
  driver.vendor = &vendor;
  const bool cuda = &vendor == &kNvidia;
  for (const Entry &entry : kEntries) {
    const char *name = cuda ? entry.cuda : entry.hip;
    void *address = name ? dlsym(library, name) : nullptr;
    if (name && !address && entry.needed)
      return fail(ErrorCode::DriverTooOld, "device %s: expects a driver of %s, but %s's has no %s", device,
                  vendor.oldestText, vendor.name, name);
    entry.set(driver, address);
  }
  if (!cuda)
    driver.hipErrorText = reinterpret_cast<const char *(*)(int)>(dlsym(library, "hipGetErrorString"));
  if (!cuda && !driver.properties && !driver.oldProperties)
    return fail(ErrorCode::DriverTooOld, "device %s: expects a driver of %s, but %s's has no hipGetDeviceProperties",
                device, vendor.oldestText, vendor.name);
  int error = driver.init(0);
  if (error == 0)
    error = driver.version(&driver.versionNumber);
  if (error != 0)
    return fail(ErrorCode::DriverMissing, "device %s: expects a GPU, but %s's driver says %s", device, vendor.name,
                driver.text(error).c_str());
  if (driver.versionNumber < vendor.oldest)
    return fail(ErrorCode::DriverTooOld, "device %s: expects a driver of %s, but %s's is of version %d", device,
                vendor.oldestText, vendor.name, driver.versionNumber);
  return driver;
}

/// How CUDA and LLVM call what the GPU executes.
Result<std::string> chipOf(const Driver &driver, const char *device, int number) {
  auto refused = [&](int error) {
    return fail(ErrorCode::DriverMissing, "device %s: expects to be told of GPU %d, but %s's driver says %s", device,
                number, driver.vendor->name, driver.text(error).c_str());
  };
  if (driver.attribute) {
    int major = 0, minor = 0, error = driver.attribute(&major, kCapabilityMajor, number);
    if (error == 0)
      error = driver.attribute(&minor, kCapabilityMinor, number);
    if (error != 0)
      return refused(error);
    return "sm_" + std::to_string(major) + std::to_string(minor);
  }
  // The record differs between releases. In each the chip is the one text that begins with gfx, with features behind a
  // colon: "gfx942:sramecc+:xnack-".
  std::vector<char> properties(1 << 16);
  if (int error = (driver.properties ? driver.properties : driver.oldProperties)(properties.data(), number))
    return refused(error);
  for (size_t at = 0; at + 16 < properties.size(); ++at)
    if (!std::memcmp(&properties[at], "gfx", 3) && (at == 0 || properties[at - 1] == 0)) {
      const std::string text(&properties[at], strnlen(&properties[at], 64));
      return text.substr(0, text.find(':'));
    }
  return std::string("?");
}

/// Whether a GPU of `has` runs code for `chip`.
bool runsCode(const Vendor &vendor, const std::string &has, const std::string &chip) {
  if (&vendor != &kNvidia)
    return has == chip;
  if (chip.back() == 'a') // instructions of this chip alone
    return has + "a" == chip;
  return std::atoi(has.c_str() + 3) >= std::atoi(chip.c_str() + 3);
}

} // namespace

const Vendor kNvidia = {"NVIDIA", "nvidia:", kCudaLibraries, 12000, "CUDA 12.0 or later"};
const Vendor kAmd = {"AMD", "amd:", kHipLibraries, 60000000, "ROCm 6.0 or later"};

std::string Driver::text(int error) const {
  const char *words = nullptr;
  if (errorText && errorText(error, &words) != 0)
    words = nullptr;
  if (hipErrorText)
    words = hipErrorText(error);
  std::string all = "error " + std::to_string(error);
  return words ? all + " (" + words + ")" : all;
}

Result<const Driver *> openDriver(const Vendor &vendor, const char *device) {
  static std::mutex mutex;
  static Driver opened[2]; // what could not be opened is tried again: a driver may be installed meanwhile
  std::lock_guard<std::mutex> lock(mutex);
  Driver &driver = opened[&vendor == &kAmd];
  if (!driver.vendor) {
    Result<Driver> loaded = load(vendor, device);
    if (!loaded)
      return loaded.error();
    driver = *loaded;
  }
  return static_cast<const Driver *>(&driver);
}

Result<Gpu> findGpu(const Driver &driver, const char *device, const std::string &chip) {
  int count = 0;
  if (int error = driver.deviceCount(&count))
    return fail(ErrorCode::DriverMissing, "device %s: expects a GPU, but %s's driver says %s", device,
                driver.vendor->name, driver.text(error).c_str());
  std::string list;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    Gpu gpu{};
    char name[256] = {};
    int error = driver.device(&gpu.number, ordinal);
    if (error == 0)
      error = driver.deviceName(name, sizeof name - 1, gpu.number);
    if (error != 0)
      return fail(ErrorCode::DriverMissing, "device %s: expects to be told of GPU %d, but %s's driver says %s", device,
                  ordinal, driver.vendor->name, driver.text(error).c_str());
    Result<std::string> found = chipOf(driver, device, gpu.number);
    if (!found)
      return found.error();
    gpu.name = name;
    gpu.chip = *found;
    if (runsCode(*driver.vendor, gpu.chip, chip))
      return gpu;
    list += (list.empty() ? "" : ", ") + gpu.name + " (" + gpu.chip + ")";
  }
  if (list.empty())
    return fail(ErrorCode::DriverMissing, "device %s: expects a GPU, but %s's driver finds none", device,
                driver.vendor->name);
  return fail(ErrorCode::ChipMissing, "device %s: expects a GPU that runs code for %s, but this machine has %s", device,
              chip.c_str(), list.c_str());
}

} // namespace stepdown::driver
