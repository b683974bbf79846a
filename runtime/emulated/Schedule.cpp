// Who runs next. Lanes run until they wait; operations of a warp or warpgroup are done once all of its lanes are there;
// asynchronous work is done when nobody can go on, and with a seed now and then before.
#include "runtime/emulated/Machine.h"
#include <algorithm>
#include <iterator>

namespace stepdown::emulated {

using State = Emulator::State;

namespace {

bool groupKind(uint16_t kind) {
  return kind == STEPDOWN_EMULATED_wgmma || kind == STEPDOWN_EMULATED_wgmma_fence ||
         kind == STEPDOWN_EMULATED_wgmma_commit || kind == STEPDOWN_EMULATED_wgmma_wait ||
         kind == STEPDOWN_EMULATED_registers_less || kind == STEPDOWN_EMULATED_registers_more;
}

} // namespace

void State::stop(Waiting why, uint32_t number, uint64_t *frame, uint64_t mask) {
  Lane &lane = *current;
  lane.waiting = why;
  lane.operation = number;
  lane.frame = frame;
  lane.mask = mask;
  ++statistics.switches;
  // The next lane of the warp goes on at once, as the scheduler would have it in order.
  Lane *next = &lane + 1;
  if (why == Waiting::Warp && options.seed == 0 && lane.lane() + 1 < lane.block->warpLanes &&
      lane.thread + 1 < lane.block->lanes.size() && next->waiting == Waiting::Nothing) {
    current = next;
    switchTo(&lane.place, next->place);
  } else {
    switchTo(&lane.place, scheduler);
  }
  if (failed)
    abandon();
}

Agent State::newAgent() {
  if (agentsUsed == agents) {
    agents += 256;
    clusterView.grow(agents);
    for (Block &block : blocks) {
      for (Lane &lane : block.lanes)
        lane.view.grow(agents);
      for (WarpGroup &group : block.groups)
        group.view.grow(agents);
      for (NamedBarrier &barrier : block.barriers)
        barrier.view.grow(agents);
      for (auto &[offset, barrier] : block.mbarriers) {
        barrier.arriving.grow(agents);
        barrier.done.grow(agents);
      }
    }
  }
  return Agent(agentsUsed++);
}

void State::defer(Lane &lane, uint32_t number, uint64_t *frame) {
  if (lane.deferredCount == std::size(lane.deferred))
    return report(STEPDOWN_REPORT_operand, &lane, number, "expects at most %zu products together",
                  std::size(lane.deferred));
  lane.deferred[lane.deferredCount++] = {number, frame};
}

/// In the order of the code; then their lanes' frames are those of `number` again.
void State::performDeferred(Block &block, Lane **lanes, uint32_t count, uint32_t number) {
  const uint32_t products = lanes[0]->deferredCount;
  for (uint32_t i = 1; i < count; ++i)
    if (lanes[i]->deferredCount != products ||
        lanes[i]->deferred[products - 1].operation != lanes[0]->deferred[products - 1].operation)
      return report(STEPDOWN_REPORT_partial, lanes[i], number, "expects all lanes to have come the same way");
  uint64_t *frames[mostLanes];
  for (uint32_t i = 0; i < count; ++i)
    frames[i] = lanes[i]->frame;
  for (uint32_t p = 0; p < products && !failed; ++p) {
    for (uint32_t i = 0; i < count; ++i)
      lanes[i]->frame = lanes[i]->deferred[p].frame;
    performWarp(block, lanes, count, lanes[0]->deferred[p].operation);
  }
  for (uint32_t i = 0; i < count; ++i) {
    lanes[i]->frame = frames[i];
    lanes[i]->deferredCount = 0;
  }
}

bool State::resolveWarp(Block &block, uint32_t warp) {
  const uint32_t width = block.warpLanes;
  Lane *first = &block.lanes[warp * width];
  const uint32_t count = std::min<uint32_t>(width, block.lanes.size() - warp * width);
  uint64_t there = 0, alive = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (first[i].waiting == Waiting::Nothing)
      return false;
    alive |= uint64_t(first[i].waiting != Waiting::Over) << i;
    there |= uint64_t(first[i].waiting == Waiting::Warp) << i;
  }
  if (!there)
    return false;
  bool resolved = false;
  for (uint64_t left = there; left;) {
    const uint32_t leader = __builtin_ctzll(left), number = first[leader].operation;
    uint64_t together = 0, needed = 0;
    for (uint32_t i = 0; i < count; ++i)
      if ((there >> i & 1) && first[i].operation == number && first[i].mask == first[leader].mask)
        together |= uint64_t(1) << i, needed |= first[i].mask;
    left &= ~together;
    needed &= ~uint64_t(0) >> (64 - count);
    const uint16_t kind = operation(number).kind;
    const bool barrier = kind == STEPDOWN_EMULATED_barrier_all || kind == STEPDOWN_EMULATED_barrier_count ||
                         kind == STEPDOWN_EMULATED_barrier_arrive || kind == STEPDOWN_EMULATED_cluster_arrive ||
                         kind == STEPDOWN_EMULATED_cluster_wait || kind == STEPDOWN_EMULATED_warp_barrier ||
                         kind == STEPDOWN_EMULATED_wave_barrier_all;
    if (barrier)
      needed &= alive; // lanes that have returned are not waited for
    if (needed & ~together) {
      if (needed & ~alive) {
        report(STEPDOWN_REPORT_partial, &first[leader], number,
               "expects lanes %08llx of the warp, but of these %08llx have returned",
               static_cast<unsigned long long>(needed), static_cast<unsigned long long>(needed & ~alive));
        return false;
      }
      continue;
    }
    Lane *lanes[mostLanes];
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; ++i)
      if (together >> i & 1)
        lanes[n++] = &first[i];
    if (groupKind(kind)) {
      for (uint32_t i = 0; i < n; ++i)
        lanes[i]->waiting = Waiting::Group;
    } else {
      for (uint32_t i = 0; i < n; ++i)
        wake(*lanes[i]);
      if (first[leader].deferredCount)
        performDeferred(block, lanes, n, number);
      if (!failed)
        performWarp(block, lanes, n, number);
    }
    resolved = true;
    if (failed)
      return false;
  }
  if (!resolved && there == alive) { // all of them wait for each other
    const uint32_t leader = __builtin_ctzll(there);
    const uint64_t expected = first[leader].mask & ~uint64_t(0) >> (64 - width);
    for (uint32_t i = 0; i < count; ++i)
      if ((there >> i & 1) && (first[i].operation != first[leader].operation || first[i].mask != first[leader].mask)) {
        report(STEPDOWN_REPORT_partial, &first[leader], first[leader].operation,
               "expects all of lanes %08llx, but lane %u waits at %s", static_cast<unsigned long long>(expected), i,
               where(first[i].operation).c_str());
        return false;
      }
    report(STEPDOWN_REPORT_partial, &first[leader], first[leader].operation,
           "expects lanes %08llx of the warp, but only %08llx are there", static_cast<unsigned long long>(expected),
           static_cast<unsigned long long>(there));
  }
  return resolved;
}

bool State::resolveGroup(Block &block, WarpGroup &group) {
  Lane *first = &block.lanes[group.first];
  const uint32_t number = first->operation;
  const uint32_t count = std::min<uint32_t>(groupLanes, block.lanes.size() - group.first);
  bool everywhere = true;
  const Lane *other = nullptr;
  for (uint32_t i = 0; i < count; ++i) {
    if (first[i].waiting != Waiting::Group && first[i].waiting != Waiting::Registers)
      everywhere = false;
    else if (first[i].operation != number)
      other = &first[i];
  }
  if (!everywhere || first->waiting != Waiting::Group)
    return false;
  if (count < groupLanes) {
    report(STEPDOWN_REPORT_partial, first, number,
           "expects a warpgroup of 128 threads, but the block ends after %u of them", count);
    return false;
  }
  if (other) {
    report(STEPDOWN_REPORT_partial, first, number, "expects all warps of the warpgroup, but warp %u waits at %s",
           other->warp(), where(other->operation).c_str());
    return false;
  }
  performGroup(block, group, number);
  return !failed;
}

bool State::completeOne(size_t which) {
  if (which < pending.size()) {
    Pending work = pending[which];
    pending.erase(pending.begin() + which);
    moveBulk(work);
    return true;
  }
  return false;
}

void State::finishBlock(Block &block) {
  for (Lane &lane : block.lanes)
    for (const Pending &work : pending)
      if (work.lane == &lane) {
        report(STEPDOWN_REPORT_unfinished, &lane, work.operation,
               "expects to be waited for before the block ends, but its %s memory is still %s",
               work.kind == Pending::BulkLoad || work.kind == Pending::Copy ? "shared" : "shared",
               work.kind == Pending::BulkLoad || work.kind == Pending::Copy ? "to be written" : "to be read");
        return;
      }
  for (WarpGroup &group : block.groups)
    if (!group.pending.empty()) {
      report(STEPDOWN_REPORT_unfinished, &block.lanes[group.first], group.pending.front().operation,
             "expects to be waited for before the block ends");
      return;
    }
}

/// A block's shared memory is its own until all of its lanes have returned: of what others do with it one of them at
/// least has to know before it returns.
void State::finishRemoteUses(Block &block) {
  for (const auto &entry : block.remoteUses) {
    const RemoteUse &use = entry.second;
    const bool known = std::any_of(block.lanes.begin(), block.lanes.end(),
                                   [&](const Lane &lane) { return lane.view.plain.knows(use.epoch); });
    if (!known)
      return report(STEPDOWN_REPORT_unfinished, use.lane, use.operation,
                    "expects block %u,%u,%u, whose shared memory it uses, not to end before, but nothing orders that",
                    block.index[0], block.index[1], block.index[2]);
  }
}

bool State::runCluster() {
  std::vector<std::pair<Block *, uint32_t>> warps;
  for (Block &block : blocks)
    for (uint32_t w = 0; w * block.warpLanes < block.lanes.size(); ++w)
      warps.push_back({&block, w});
  const bool late = options.seed == 0;
  bool polled = false;
  stalls = 0;
  for (;;) {
    if (!late)
      std::shuffle(warps.begin(), warps.end(), random);
    bool progress = false, alive = false;
    for (auto [block, warp] : warps) {
      const uint32_t width = block->warpLanes;
      Lane *first = &block->lanes[warp * width];
      const uint32_t count = std::min<uint32_t>(width, block->lanes.size() - warp * width);
      const uint32_t turn = late ? 0 : random() % count;
      do {
        for (uint32_t i = 0; i < count; ++i) {
          Lane &lane = first[(i + turn) % count];
          if (lane.waiting != Waiting::Nothing)
            continue;
          progress = true;
          current = &lane;
          switchTo(&scheduler, lane.place);
          // Of lanes that handed over to each other only the last can have returned.
          const bool returned = current->waiting == Waiting::Over;
          current = nullptr;
          if (returned)
            openClusterBarrier();
          if (failed)
            return false;
        }
        if (resolveWarp(*block, warp))
          progress = true;
        else
          break;
      } while (!failed);
      if (failed)
        return false;
      for (uint32_t i = 0; i < count; ++i)
        alive |= first[i].waiting != Waiting::Over;
      if (!late && random() % 8 == 0 && !pending.empty())
        progress |= completeOne(random() % pending.size());
      if (failed)
        return false;
    }
    for (Block &block : blocks)
      for (WarpGroup &group : block.groups) {
        if (block.lanes[group.first].waiting == Waiting::Group && resolveGroup(block, group))
          progress = true;
        if (!late && !group.pending.empty() && random() % 4 == 0 &&
            group.pending.front().groupNumber <= group.committed)
          completeProducts(block, group, group.pending.front().groupNumber);
        if (failed)
          return false;
      }
    if (!alive)
      break;
    if (progress) {
      if (!polled)
        stalls = 0;
      polled = false;
      continue;
    }
    if (completeOne(late || pending.empty() ? 0 : random() % pending.size())) {
      if (failed)
        return false;
      continue;
    }
    for (Block &block : blocks)
      for (Lane &lane : block.lanes)
        if (lane.waiting == Waiting::MBarrier && lane.spurious) {
          polled = true; // mbarrier.test_wait returns at once, but there is nothing new before something happens
          wake(lane);
        }
    if (polled && ++stalls < 1000)
      continue;
    reportDeadlock();
    return false;
  }
  for (Block &block : blocks) {
    finishBlock(block);
    finishRemoteUses(block);
  }
  return !failed;
}

} // namespace stepdown::emulated
