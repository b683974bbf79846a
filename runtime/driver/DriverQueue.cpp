#include "runtime/driver/DriverQueue.h"

#include "runtime/driver/DriverRecords.h"
#include <algorithm>

namespace stepdown::driver {

Result<std::unique_ptr<DriverQueue>> DriverQueue::create(const Context &context, const Kernels &kernels) {
  if (Status entered = context.enter(); !entered)
    return entered.error();
  std::unique_ptr<DriverQueue> made(new DriverQueue(context, kernels));
  if (int error = context.driver.makeStream(&made->stream, kOwnOrder)) {
    made->stream = nullptr;
    return context.refused(error, ErrorCode::DriverRefused, "a stream");
  }
  made->pending.reserve(2 * kStagedUploads);
  made->idle.reserve(2 * kStagedUploads);
  return made;
}

DriverQueue::~DriverQueue() {
  if (!stream || !context.enter())
    return;
  context.driver.waitForStream(stream); // for copies to and from memory that its owner frees next
  graphs.clear();
  for (const Event &event : pending)
    context.driver.endEvent(event.handle);
  for (void *event : idle)
    context.driver.endEvent(event);
  context.driver.endStream(stream);
}

Status DriverQueue::upload(uint64_t to, const void *from, size_t bytes) {
  if (Status entered = context.enter(); !entered || bytes == 0)
    return entered;
  if (staged.isOpen() && bytes <= staged.most()) {
    if (Status waited = waitForSlot(); !waited)
      return waited;
    const bool busy = !pending.empty() && !happened(pending.back().number);
    return staged.upload(to, from, bytes, stream, busy);
  }
  Status copied =
      context.check(context.driver.toDevice(to, from, bytes, stream), ErrorCode::DriverRefused, "a copy to the GPU");
  return copied && staged.isOpen() ? sync() : std::move(copied);
}

Status DriverQueue::waitForSlot() {
  const uint64_t before = staged.before();
  if (before <= uploaded)
    return Done{};
  auto found =
      std::find_if(pending.begin(), pending.end(), [&](const Event &event) { return event.uploads >= before; });
  return wait(found == pending.end() ? record() : found->number);
}

Status DriverQueue::download(void *to, uint64_t from, size_t bytes) {
  if (Status entered = context.enter(); !entered || bytes == 0)
    return entered;
  return context.check(context.driver.toHost(to, from, bytes, stream), ErrorCode::DriverRefused, "a copy from the GPU");
}

Status DriverQueue::copy(uint64_t to, uint64_t from, size_t bytes) {
  if (Status entered = context.enter(); !entered || bytes == 0)
    return entered;
  return context.check(context.driver.between(to, from, bytes, stream), ErrorCode::DriverRefused, "a copy on the GPU");
}

Status DriverQueue::launch(const Launch *launches, size_t count) {
  if (Status entered = context.enter(); !entered)
    return entered;
  return graphs.launch(launches, count, stream, [&](const Launch &launch) { return launchOne(launch); });
}

Status DriverQueue::launchOne(const Launch &launch) {
  Result<const PreparedKernel *> found = kernels.find(launch.kernel);
  if (!found)
    return found.error();
  const PreparedKernel &kernel = **found;
  if (launch.words != kernel.kernel.words() || (launch.words && !launch.values))
    return fail(ErrorCode::KernelLaunch, "%s: expects operands of %u words, but got %u", kernel.name.c_str(),
                kernel.kernel.words(), launch.values ? launch.words : 0);
  parameters.resize((kernel.bytes + sizeof(Line) - 1) / sizeof(Line) + 1);
  auto *bytes = reinterpret_cast<uint8_t *>(parameters.data());
  auto encodeMap = [&](const TensorMapShape &shape, void *map) -> Status {
    const uint32_t steps[STEPDOWN_MAX_RANK] = {1, 1, 1, 1, 1};
    // 2: rows are fetched into the second-level cache by 128 bytes; 0: what is outside is zero
    return context.check(context.driver.encodeMap(map, int(shape.elementType), shape.rank,
                                                  reinterpret_cast<void *>(shape.address), shape.sizes,
                                                  shape.strides + 1, shape.box, steps, 0, int(shape.swizzle), 2, 0),
                         ErrorCode::LaunchFailed, (kernel.name + ": a tensor map of an operand").c_str());
  };
  if (Status encoded = encodeParameters(kernel.kernel, launch.values, encodeMap, bytes); !encoded)
    return encoded;
  pointers.clear();
  for (size_t place : kernel.places)
    pointers.push_back(bytes + place);
  const stepdown_launch &shape = kernel.launch;
  const uint32_t (&grid)[3] = launch.grid, (&block)[3] = shape.block;
  int error;
  if (shape.cluster[0] == 1 && shape.cluster[1] == 1 && shape.cluster[2] == 1) {
    error = context.driver.launch(kernel.function, grid[0], grid[1], grid[2], block[0], block[1], block[2],
                                  shape.shared_bytes, stream, pointers.data(), nullptr);
  } else {
    ClusterAttribute cluster;
    std::copy(shape.cluster, shape.cluster + 3, cluster.cluster);
    const LaunchConfiguration configuration = {
        {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, shape.shared_bytes, stream, &cluster, 1};
    error = context.driver.launchClusters(&configuration, kernel.function, pointers.data(), nullptr);
  }
  if (error == 0)
    return Done{};
  return context.refused(error, ErrorCode::LaunchFailed,
                         kernel.name + ": a grid of " + std::to_string(grid[0]) + " x " + std::to_string(grid[1]) +
                             " x " + std::to_string(grid[2]) + " blocks of " +
                             std::to_string(uint64_t(block[0]) * block[1] * block[2]) + " threads with " +
                             std::to_string(shape.shared_bytes) + " bytes of shared memory");
}

uint64_t DriverQueue::record() {
  Status entered = context.enter();
  void *event = nullptr;
  int error = 0;
  if (entered && !idle.empty()) {
    event = idle.back();
    idle.pop_back();
  } else if (entered) {
    error = context.driver.makeEvent(&event, kNoTime);
    idle.reserve(pending.size() + 1);
  }
  if (entered && error == 0)
    if (error = context.driver.recordEvent(event, stream); error)
      idle.push_back(event);
  if (!entered || error) {
    if (failed)
      failed = entered ? Status(context.refused(error, ErrorCode::DriverRefused, "an event")) : std::move(entered);
    return recorded;
  }
  pending.push_back({++recorded, event, staged.count()});
  return recorded;
}

void DriverQueue::retire(uint64_t number) const {
  auto end = pending.begin();
  for (; end != pending.end() && end->number <= number; ++end) {
    uploaded = std::max(uploaded, end->uploads);
    idle.push_back(end->handle);
  }
  pending.erase(pending.begin(), end);
  finished = std::max(finished, number);
}

/// The first of `pending` that is `number` or later.
template <typename Events> static auto at(Events &pending, uint64_t number) {
  return std::find_if(pending.begin(), pending.end(), [&](const auto &event) { return event.number >= number; });
}

bool DriverQueue::happened(uint64_t event) const {
  auto found = at(pending, event);
  if (event <= finished || found == pending.end() || !context.enter())
    return true; // of a GPU that was lost, wait() says so
  const int error = context.driver.queryEvent(found->handle);
  if (error == kNotReady)
    return false;
  if (error == 0) // any other, wait() meets again and tells
    retire(event);
  return true;
}

Status DriverQueue::wait(uint64_t event) {
  if (!failed)
    return failed;
  if (Status entered = context.enter(); !entered)
    return entered;
  auto found = at(pending, event);
  if (event <= finished || found == pending.end())
    return Done{};
  if (int error = context.driver.waitForEvent(found->handle))
    return context.refused(error, ErrorCode::DriverRefused, "an event to happen");
  retire(event);
  return Done{};
}

Status DriverQueue::sync() {
  if (Status entered = context.enter(); !entered)
    return entered;
  if (int error = context.driver.waitForStream(stream))
    return context.refused(error, ErrorCode::DriverRefused, "its work to be done");
  if (Status settled = staged.settle(); !settled)
    return settled;
  retire(recorded);
  uploaded = staged.count();
  return failed; // of an event: its work is done all the same
}

} // namespace stepdown::driver
