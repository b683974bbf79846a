// A stream of a GPU as a Queue.
#pragma once
#include "runtime/Device.h"
#include "runtime/driver/Kernels.h"
#include "runtime/driver/LaunchGraphs.h"
#include "runtime/driver/StagedUploads.h"

namespace stepdown::driver {

class DriverQueue final : public Queue {
public:
  /// E1015. Context and kernels stay the caller's.
  static Result<std::unique_ptr<DriverQueue>> create(const Context &context, const Kernels &kernels);
  ~DriverQueue() override;
  Status upload(uint64_t to, const void *from, size_t bytes) override;
  Status stage(const Memory &memory) override { return staged.open(memory); }
  bool keepsUploads() const override { return staged.isOpen(); }
  Status download(void *to, uint64_t from, size_t bytes) override;
  Status copy(uint64_t to, uint64_t from, size_t bytes) override;
  Status launch(const Launch *launches, size_t count) override;
  uint64_t record() override;
  bool happened(uint64_t event) const override;
  Status wait(uint64_t event) override;
  Status sync() override;
  int width() const override { return 1; }
  /// The driver's stream, for a tool that times what runs in it.
  void *handle() const { return stream; }

private:
  struct Event {
    uint64_t number;
    void *handle;
    uint64_t uploads; ///< staged so far
  };
  struct alignas(64) Line {
    uint8_t bytes[64];
  };
  DriverQueue(const Context &context, const Kernels &kernels)
      : context(context), kernels(kernels), graphs(context), staged(context) {}
  Status launchOne(const Launch &launch);
  /// Waits until the slot of the next staged upload is free.
  Status waitForSlot();
  /// Events up to `number` have happened.
  void retire(uint64_t number) const;

  const Context &context;
  const Kernels &kernels;
  void *stream = nullptr;
  uint64_t recorded = 0;
  Status failed = Done{}; ///< of a record(), told by the next wait() or sync()
  // Few: who stages uploads waits for those that were kStagedUploads before. Vectors, which steps leave as large as
  // they are, where a queue of the library would take and give back memory as it slides.
  mutable std::vector<Event> pending; // ascending
  mutable std::vector<void *> idle;   // events to be used again; room for those of `pending`, too
  mutable uint64_t finished = 0;
  mutable uint64_t uploaded = 0; // staged uploads that are done
  LaunchGraphs graphs;
  StagedUploads staged;
  std::vector<Line> parameters; // of one launch; drivers copy them
  std::vector<void *> pointers;
};

} // namespace stepdown::driver
