// Named barriers, the barrier of a cluster, and mbarriers (PTX ISA, "Parallel Synchronization and Communication
// Instructions: mbarrier").
#include "runtime/emulated/Machine.h"

namespace stepdown::emulated {

using State = Emulator::State;

MBarrier *State::mbarrier(Lane &lane, uint32_t number, uint64_t address) {
  uint32_t offset;
  Block *block = sharedBlock(address, offset);
  if (!block || offset + 8 > block->sharedBytes) {
    report(STEPDOWN_REPORT_bounds, &lane, number, "expects an mbarrier in shared memory");
    return nullptr;
  }
  if (offset % 8) {
    report(STEPDOWN_REPORT_alignment, &lane, number, "expects an mbarrier at a multiple of 8, but got shared %u",
           offset);
    return nullptr;
  }
  auto found = block->mbarriers.find(offset);
  if (found == block->mbarriers.end()) {
    report(STEPDOWN_REPORT_barrier, &lane, number, "expects an mbarrier at shared %u, but none was initialised there",
           offset);
    return nullptr;
  }
  // The object is entered as one that its initialiser wrote: whoever uses it must come after that.
  Access access = laneAccess(lane, number, false);
  if (!lane.view.plain.knows(found->second.initialised)) {
    conflict(Conflict::Race, access, found->second.initOperation, &lane, "shared", offset);
    return nullptr;
  }
  if (block != lane.block)
    block->remoteUses[access.epoch.agent] = {access.epoch, number, &lane};
  return &found->second;
}

void State::completePhase(MBarrier &barrier, const Lane *lane, uint32_t number) {
  if (barrier.inFlight) {
    report(STEPDOWN_REPORT_transactions, lane, number,
           "mbarrier at shared %u: phase %u completes while %u asynchronous copies to it are still under way: fewer "
           "bytes are "
           "expected than they move",
           barrier.address, barrier.phase, barrier.inFlight);
    return;
  }
  ++barrier.phase;
  if (barrier.remote)
    barrier.remotePhase = barrier.phase;
  barrier.remote = false;
  barrier.pending = barrier.expected;
  barrier.done.join(barrier.arriving);
  barrier.done.plain[barrier.agent] = barrier.phase;
  for (Block &block : blocks)
    for (Lane &waiting : block.lanes)
      if (waiting.waiting == Waiting::MBarrier && waiting.barrier == &barrier && (barrier.phase & 1) != waiting.parity)
        wake(waiting);
}

void State::arrive(MBarrier &barrier, const Block *block, Lane *lane, uint32_t number, uint32_t count) {
  if (count > barrier.pending) {
    report(STEPDOWN_REPORT_barrier, lane, number,
           "mbarrier at shared %u (%s): expects %u more arrivals in phase %u, but %u arrive", barrier.address,
           where(barrier.initOperation).c_str(), barrier.pending, barrier.phase, count);
    return;
  }
  barrier.pending -= count;
  if (!operation(number).modifiers[1]) { // of release
    barrier.arriving.join(lane->view);
    barrier.remote |= block != lane->block;
    release(*lane);
  }
  if (barrier.pending == 0 && barrier.bytes == 0)
    completePhase(barrier, lane, number);
}

void State::performBarrier(Lane &lane, uint32_t number, uint64_t *frame) {
  const stepdown_emulated_operation &at = operation(number);
  uint64_t *a = frame + at.results;
  if (at.kind == STEPDOWN_EMULATED_fence_mbarrier_init || at.kind == STEPDOWN_EMULATED_fence_proxy_async) {
    for (auto &[offset, barrier] : lane.block->mbarriers)
      if (at.kind == STEPDOWN_EMULATED_fence_proxy_async || barrier.initialiser == &lane)
        barrier.announced = true;
    if (at.kind == STEPDOWN_EMULATED_fence_proxy_async) {
      lane.view.fenced.join(lane.view.plain);
      release(lane); // what it writes from here on is not behind this fence
    }
    return;
  }
  const uint64_t address = slotAs<uint64_t>(a, 0);
  if (at.kind == STEPDOWN_EMULATED_mbarrier_init) {
    uint32_t offset;
    Block *block = sharedBlock(address, offset);
    const uint32_t count = slotAs<uint32_t>(a, 1);
    if (!block || count == 0 || count >= 1u << 20 || offset % 8)
      return report(STEPDOWN_REPORT_barrier, &lane, number,
                    "expects an mbarrier at a multiple of 8 in shared memory and a count of 1 to 1048575, but got %u",
                    count);
    if (!touchShared(*block, offset, 8, laneAccess(lane, number, true), &lane))
      return;
    const bool again = block->mbarriers.count(offset);
    const Agent agent = again ? block->mbarriers[offset].agent : newAgent();
    const uint32_t phase = again ? (block->mbarriers[offset].phase + 2) & ~1u : 0;
    MBarrier &made = block->mbarriers[offset];
    made = MBarrier();
    made.address = offset;
    made.expected = made.pending = count;
    made.phase = phase;
    made.initOperation = number;
    made.agent = agent;
    made.initialiser = &lane;
    made.initialised = laneAccess(lane, number, true).epoch;
    made.arriving.reset(agents);
    made.done.reset(agents);
    return;
  }
  MBarrier *barrier = mbarrier(lane, number, address);
  if (!barrier)
    return;
  uint32_t offset;
  Block *block = sharedBlock(address, offset);
  if (block != lane.block && at.kind != STEPDOWN_EMULATED_mbarrier_invalidate && !at.modifiers[2])
    return report(STEPDOWN_REPORT_operand, &lane, number,
                  "expects to be of the cluster's scope at an mbarrier of another block, but is of its own block's");
  switch (at.kind) {
  case STEPDOWN_EMULATED_mbarrier_invalidate:
    if (touchShared(*block, offset, 8, laneAccess(lane, number, true), &lane))
      block->mbarriers.erase(offset);
    return;
  case STEPDOWN_EMULATED_mbarrier_arrive:
    if (at.results)
      slotAs<uint64_t>(frame, 0) = barrier->phase;
    return arrive(*barrier, block, &lane, number, at.modifiers[0] ? slotAs<uint32_t>(a, 1) : 1);
  case STEPDOWN_EMULATED_mbarrier_arrive_expect:
  case STEPDOWN_EMULATED_mbarrier_expect: {
    const uint32_t bytes = slotAs<uint32_t>(a, 1);
    barrier->bytes += bytes;
    if (barrier->bytes > (1 << 20) - 1)
      return report(STEPDOWN_REPORT_transactions, &lane, number,
                    "expects at most 1048575 bytes to come, but %lld are expected",
                    static_cast<long long>(barrier->bytes));
    if (at.kind == STEPDOWN_EMULATED_mbarrier_expect)
      return;
    if (at.results)
      slotAs<uint64_t>(frame, 0) = barrier->phase;
    return arrive(*barrier, block, &lane, number, 1);
  }
  default: { // waits
    const uint32_t parity = slotAs<uint32_t>(a, 1) & 1;
    const bool test = at.kind == STEPDOWN_EMULATED_mbarrier_test_wait;
    bool done = (barrier->phase & 1) != parity;
    if (!done && !test && options.seed && random() % 8 == 0) { // try_wait may give up
      stop(Waiting::Nothing, number, frame, 0);
      done = (barrier->phase & 1) != parity;
    } else if (!done) {
      lane.barrier = barrier;
      lane.parity = parity;
      lane.spurious = test;
      stop(Waiting::MBarrier, number, frame, 0);
      done = (barrier->phase & 1) != parity;
      lane.barrier = nullptr;
    }
    if (done && !at.modifiers[1] && lane.view.plain.at(barrier->agent) < barrier->phase) {
      if (lane.view.plain.at(barrier->agent) < barrier->remotePhase && !at.modifiers[2])
        return report(STEPDOWN_REPORT_operand, &lane, number,
                      "expects to be of the cluster's scope at an mbarrier at which another block arrives, but is of "
                      "its own block's");
      lane.view.join(barrier->done);
    }
    slotAs<uint32_t>(frame, 0) = done;
  }
  }
}

void State::barrierWarp(Block &block, Lane **lanes, uint32_t count, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  const uint64_t *a = lanes[0]->frame + at.results;
  const uint32_t id = uint32_t(a[0]);
  const uint32_t threads = at.kind == STEPDOWN_EMULATED_barrier_all ? uint32_t(block.lanes.size()) : uint32_t(a[1]);
  for (uint32_t i = 1; i < count; ++i)
    if (uint32_t(lanes[i]->frame[at.results]) != id)
      return report(STEPDOWN_REPORT_barrier, lanes[i], number,
                    "expects one barrier for the warp, but lanes name %u and %u", id,
                    uint32_t(lanes[i]->frame[at.results]));
  if (id >= 16 || threads == 0 || threads % warpLanes || threads > block.lanes.size())
    return report(
        STEPDOWN_REPORT_barrier, lanes[0], number,
        "expects a barrier below 16 and a multiple of 32 threads up to %zu, but got barrier %u and %u threads",
        block.lanes.size(), id, threads);
  NamedBarrier &barrier = block.barriers[id];
  if (barrier.arrived && barrier.count != threads)
    return report(STEPDOWN_REPORT_barrier, lanes[0], number, "expects %u threads at barrier %u, as %s says, but got %u",
                  barrier.count, id, where(barrier.operation).c_str(), threads);
  if (!barrier.arrived)
    barrier.view.reset(agents);
  barrier.count = threads;
  barrier.operation = number;
  barrier.arrived += warpLanes;
  const bool waits = at.kind != STEPDOWN_EMULATED_barrier_arrive;
  for (uint32_t i = 0; i < count; ++i) {
    barrier.view.join(lanes[i]->view);
    release(*lanes[i]);
    lanes[i]->barrierNumber = id;
    if (waits)
      lanes[i]->waiting = Waiting::Barrier;
  }
  if (barrier.arrived < threads)
    return;
  barrier.arrived = 0;
  for (Lane &lane : block.lanes)
    if (lane.waiting == Waiting::Barrier && lane.barrierNumber == id) {
      lane.view.join(barrier.view);
      wake(lane);
    }
}

void State::openClusterBarrier() {
  if (clusterArrived == 0)
    return;
  // A lane that has returned is not waited for; if it had arrived, it stands for no other.
  for (Block &block : blocks)
    for (Lane &lane : block.lanes)
      if (lane.waiting != Waiting::Over && lane.clusterArrivals <= clusterPhase)
        return;
  clusterArrived = 0;
  ++clusterPhase;
  for (Block &block : blocks)
    for (Lane &lane : block.lanes)
      if (lane.waiting == Waiting::Cluster) {
        lane.view.join(clusterView);
        wake(lane);
      }
}

void State::clusterWarp(Lane **lanes, uint32_t count, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  for (uint32_t i = 0; i < count; ++i) {
    Lane &lane = *lanes[i];
    if (at.kind == STEPDOWN_EMULATED_cluster_arrive) {
      if (lane.clusterArrivals > clusterPhase)
        return report(STEPDOWN_REPORT_barrier, &lane, number, "expects barrier.cluster.wait between two arrivals");
      lane.clusterArrivals = clusterPhase + 1;
      ++clusterArrived;
      if (!at.modifiers[1])
        clusterView.join(lane.view);
      release(lane);
    } else if (lane.clusterArrivals > clusterPhase) {
      lane.waiting = Waiting::Cluster;
    } else if (lane.clusterArrivals == 0) {
      return report(STEPDOWN_REPORT_barrier, &lane, number,
                    "expects barrier.cluster.arrive before barrier.cluster.wait");
    } else {
      lane.view.join(clusterView);
    }
  }
  openClusterBarrier();
}

} // namespace stepdown::emulated
