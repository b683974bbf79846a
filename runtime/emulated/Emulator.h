// Runs kernels of a GPU on the host: code that lib/CodeGen/Emulation made of the lowered, optimised kernel.
//
// One fiber is one lane; a launch is done by the calling thread alone, so a seed gives the same run every time.
// Asynchronous operations (TMA, wgmma, cp.async) take effect as late as the rules of the machine allow, or, with a seed
// other than 0, at a random moment before that. What breaks a rule ends the launch with a report (docs/emulator.md).
#pragma once
#include "include/stepdown/Emulation.h"
#include "lib/Base/Result.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stepdown::emulated {

/// What one launch asks for, in the terms of cuLaunchKernelEx.
struct LaunchShape {
  std::array<uint32_t, 3> grid = {1, 1, 1};  ///< blocks
  std::array<uint32_t, 3> block = {1, 1, 1}; ///< threads
  uint32_t cluster = 1;                      ///< blocks along x that run together
  uint32_t sharedBytes = 0;                  ///< dynamic shared memory of a block
};

/// A rule that was broken, in words of the kernel's source.
struct Report {
  stepdown_report kind;
  std::string kernel, operation, file;
  uint32_t line = 0, warp = 0, lane = 0;
  std::array<uint32_t, 3> block = {};
  std::string text;          ///< the fact: what was expected, what happened, which other operation took part
  std::string line1() const; ///< "kernel gemm, line 12 (wgmma.mma_async), block 0,0,0, warp 4: race: ..."
};

/// Figures of a launch.
struct Statistics {
  uint64_t calls = 0, switches = 0, multiplyAdds = 0;
  uint64_t sharedAccesses = 0; ///< warp-wide accesses to shared memory
  uint64_t bankConflicts = 0;  ///< further passes that these take because lanes meet in a bank
  uint64_t bulkBytes = 0;      ///< moved by TMA
};

/// What a test hears of each launch.
class Observer {
public:
  virtual ~Observer() = default;
  virtual void launches(const char *kernel) = 0;
  /// An access of a lane, or of a copy that it started, to global memory.
  virtual void touches(const void *address, uint32_t bytes, bool write) = 0;
};

struct Options {
  uint64_t seed = 0;           ///< 0: everything as late as it may be, warps in order
  uint64_t bound = 1ull << 32; ///< turns of loops and calls of entries in all, before a launch counts as endless
  Observer *observer = nullptr;
  /// Significant bits that wgmma keeps of a sum of fp8 products (Products.h): 24 is float32, 14 what DeepSeek-V3's
  /// report says of H800.
  uint32_t fp8SumBits = 24;
};

/// Memory that every launch needs and no launch leaves anything in: emulators that launch in turn may share one.
struct Workspace;
std::shared_ptr<Workspace> makeWorkspace();

class Emulator {
public:
  explicit Emulator(std::shared_ptr<Workspace> workspace = makeWorkspace());
  ~Emulator();

  /// Bytes of the host that kernels may touch; others are out of bounds. They stay the caller's.
  void map(void *bytes, size_t size, bool writable = true);
  void unmap(void *bytes);

  /// What launch would say of this launch before it runs anything: Done or ErrorCode::KernelLaunch.
  Status check(const char *kernel, const LaunchShape &shape, size_t parameterBytes) const;

  /// Takes a copy of `code` (position-independent x86-64) and of its table of operations, both made by
  /// lib/CodeGen/Emulation. E1003 for a table that is not one.
  Status load(const uint8_t *code, size_t size, const uint8_t *table, size_t tableSize);

  /// Runs `kernel` over the grid. `parameters` are laid out as the chip does: each at a multiple of its size, tensor
  /// maps (stepdown_tensor_map) in place at a multiple of 64. ErrorCode::KernelLaunch for a launch that the chip or the
  /// kernel cannot take, ErrorCode::KernelFault with the first report for a kernel that broke a rule.
  Status launch(const char *kernel, const LaunchShape &shape, const void *parameters, size_t parameterBytes,
                const Options &options = {});

  /// Of the latest launch.
  const std::vector<Report> &reports() const;
  const Statistics &statistics() const;

  struct State;

private:
  std::unique_ptr<State> state;
};

} // namespace stepdown::emulated
