#include "runtime/emulated/Machine.h"
#include <cstdarg>
#include <cstdio>

namespace stepdown::emulated {

namespace {
constexpr const char *kinds[] = {
#define STEPDOWN_REPORT(NAME, TEXT) TEXT,
#include "include/stepdown/Emulation.def"
#undef STEPDOWN_REPORT
};
} // namespace

std::string Report::line1() const {
  char head[512];
  std::snprintf(head, sizeof head, "kernel %s, %s:%u (%s), block %u,%u,%u, warp %u: %s: ", kernel.c_str(), file.c_str(),
                line, operation.c_str(), block[0], block[1], block[2], warp, kinds[kind]);
  return head + text;
}

std::string Emulator::State::where(uint32_t number) const {
  const stepdown_emulated_operation &at = operation(number);
  return std::string(text(at.name)) + " at " + text(at.file) + ":" + std::to_string(at.line);
}

void Emulator::State::report(stepdown_report kind, const Lane *lane, uint32_t number, const char *format, ...) {
  failed = true;
  if (!reports.empty())
    return; // what comes after the first is most often its consequence
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  const int n = std::vsnprintf(nullptr, 0, format, args);
  std::vector<char> made(n > 0 ? n + 1 : 1);
  std::vsnprintf(made.data(), made.size(), format, again);
  va_end(args);
  va_end(again);
  Report out;
  out.kind = kind;
  out.kernel = text(kernel->name);
  out.operation = text(operation(number).name);
  out.file = text(operation(number).file);
  out.line = operation(number).line;
  if (lane) {
    out.warp = lane->warp();
    out.lane = lane->lane();
    for (int i = 0; i < 3; ++i)
      out.block[i] = lane->block->index[i];
  }
  out.text = made.data();
  reports.push_back(std::move(out));
}

void Emulator::State::abandon() {
  Continuation nowhere;
  switchTo(&nowhere, scheduler);
  __builtin_unreachable();
}

void Emulator::State::reportDeadlock() {
  // Lanes of a warp that wait at one place for one thing make one line.
  std::string waits;
  const Lane *first = nullptr;
  uint32_t named = 0, lines = 0;
  for (Block &block : blocks)
    for (size_t i = 0; i < block.lanes.size(); ++i) {
      const Lane &lane = block.lanes[i];
      if (lane.waiting == Waiting::Over)
        continue;
      if (i % block.warpLanes) {
        const Lane &before = block.lanes[i - 1];
        if (before.waiting == lane.waiting && before.operation == lane.operation && before.barrier == lane.barrier)
          continue;
      }
      if (!first || (first->waiting != Waiting::MBarrier && lane.waiting == Waiting::MBarrier))
        first = &lane, named = lane.operation;
      if (++lines > 16)
        continue;
      char line[400];
      std::string what;
      switch (lane.waiting) {
      case Waiting::Warp:
        what = "the other lanes of its warp";
        break;
      case Waiting::Group:
        what = "the other warps of its warpgroup";
        break;
      case Waiting::Barrier: {
        const NamedBarrier &barrier = block.barriers[lane.barrierNumber];
        what = "named barrier " + std::to_string(lane.barrierNumber) + ", " + std::to_string(barrier.arrived) + " of " +
               std::to_string(barrier.count) + " threads there";
        break;
      }
      case Waiting::MBarrier:
        std::snprintf(line, sizeof line,
                      "mbarrier at shared %u (%s), phase %u with parity %u, %u of %u arrivals missing, %lld bytes %s",
                      lane.barrier->address, where(lane.barrier->initOperation).c_str(), lane.barrier->phase,
                      lane.parity, lane.barrier->pending, lane.barrier->expected,
                      static_cast<long long>(lane.barrier->bytes < 0 ? -lane.barrier->bytes : lane.barrier->bytes),
                      lane.barrier->bytes < 0 ? "more than expected" : "missing");
        what = line;
        break;
      case Waiting::Cluster:
        what = "the barrier of the cluster, " + std::to_string(clusterArrived) + " threads there";
        break;
      case Waiting::Registers:
        what = "registers that other warpgroups give back";
        break;
      default:
        what = "nothing";
      }
      waits += (waits.empty() ? "" : "; ") + std::string("block ") + std::to_string(block.index[0]) + " warp " +
               std::to_string(lane.warp()) + " from lane " + std::to_string(lane.lane()) + " waits at " +
               where(lane.operation) + " for " + what;
    }
  if (lines > 16)
    waits += "; and " + std::to_string(lines - 16) + " more";
  report(STEPDOWN_REPORT_deadlock, first, named, "nobody can go on: %s", waits.c_str());
}

} // namespace stepdown::emulated
