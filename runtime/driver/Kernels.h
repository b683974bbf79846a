// Kernels of images as a driver has them, ready to be launched.
#pragma once
#include "runtime/Load/KernelParameters.h"
#include "runtime/driver/Context.h"
#include <deque>
#include <list>
#include <map>

namespace stepdown::driver {

struct PreparedKernel {
  ImageKernel kernel;
  std::string name;
  void *function;
  stepdown_launch launch;
  std::vector<size_t> places; ///< of its parameters
  size_t bytes;               ///< of all of them
};

class Kernels {
public:
  explicit Kernels(const Context &context) : context(context) {}
  ~Kernels();
  Kernels(const Kernels &) = delete;
  /// Takes a copy; E0506.
  Result<uint64_t> addCode(const uint8_t *bytes, size_t size, uint64_t checksum);
  /// See Device::kernel; E0507, E0920, E1012.
  Result<uint64_t> add(uint64_t code, uint64_t offset, const char *name, const stepdown_launch &launch);
  /// E1003 for a number that add() did not return.
  Result<const PreparedKernel *> find(uint64_t kernel) const;

private:
  struct Module {
    KernelImage image;
    void *handle;
  };
  Result<const Module *> moduleAt(uint64_t code, uint64_t offset);
  Status checkParameters(const PreparedKernel &kernel) const;
  Status checkShape(const PreparedKernel &kernel) const;

  const Context &context;
  mutable std::mutex mutex;
  std::list<std::vector<uint8_t>> sections; // code - 1
  std::map<std::pair<uint64_t, uint64_t>, Module> modules;
  std::deque<PreparedKernel> kernels; // kernel - 1; they stay where they are
};

} // namespace stepdown::driver
