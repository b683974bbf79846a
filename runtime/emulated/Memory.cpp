// Which bytes a lane or an asynchronous operation may touch, and the race check on each of their words.
#include "runtime/emulated/Machine.h"
#include <algorithm>

namespace stepdown::emulated {

using State = Emulator::State;

Block *State::sharedBlock(uint64_t address, uint32_t &offset) {
  const uint64_t base = reinterpret_cast<uint64_t>(workspace->shared);
  if (address < base || address >= base + blocks.size() * uint64_t(sharedWindow))
    return nullptr;
  offset = (address - base) % sharedWindow;
  return &blocks[(address - base) / sharedWindow];
}

Region *State::region(const void *address, size_t bytes) {
  auto *at = static_cast<uint8_t *>(const_cast<void *>(address));
  if (latestRegion && at >= latestRegion->base && at + bytes <= latestRegion->base + latestRegion->size)
    return latestRegion;
  auto after = regions.upper_bound(at);
  if (after == regions.begin())
    return nullptr;
  Region &found = std::prev(after)->second;
  if (at + bytes > found.base + found.size)
    return nullptr;
  return latestRegion = &found;
}

Access State::laneAccess(Lane &lane, uint32_t number, bool write) const {
  Access access = {};
  access.epoch = {lane.view.plain.at(lane.agent), Agent(lane.agent + 1)};
  access.view = &lane.view;
  access.operation = number;
  access.cluster = clusterSerial;
  access.write = write;
  return access;
}

void State::conflict(Conflict found, const Access &access, uint32_t other, const Lane *lane, const char *space,
                     uint64_t at) {
  const char *what = access.write ? "writes" : "reads";
  if (found == Conflict::Race)
    report(STEPDOWN_REPORT_race, lane, access.operation, "%s %s memory at %llu, which nothing orders after %s", what,
           space, static_cast<unsigned long long>(at), where(other).c_str());
  else if (found == Conflict::Proxy)
    report(STEPDOWN_REPORT_proxy, lane, access.operation,
           "reads %s memory at %llu asynchronously, which %s wrote, with no fence.proxy.async between", space,
           static_cast<unsigned long long>(at), where(other).c_str());
  else
    report(STEPDOWN_REPORT_unwritten, lane, access.operation, "reads %s memory at %llu, where nothing was written",
           space, static_cast<unsigned long long>(at));
}

bool State::touchShared(Block &block, uint32_t offset, uint32_t bytes, const Access &given, const Lane *lane) {
  if (uint64_t(offset) + bytes > block.sharedBytes) {
    report(STEPDOWN_REPORT_bounds, lane, given.operation, "expects shared memory below %u, but touches %u bytes at %u",
           block.sharedBytes, bytes, offset);
    return false;
  }
  Access access = given;
  access.mustBeWritten = !access.write;
  if (lane && lane->block != &block)
    block.remoteUses[access.epoch.agent] = {access.epoch, access.operation, lane};
  uint32_t other = 0;
  uint64_t at = 0;
  if (Conflict found = block.cells.enter(offset, bytes, access, true, other, at); found != Conflict::None) {
    conflict(found, access, other, lane, "shared", at);
    return false;
  }
  return true;
}

bool State::touchGlobal(const void *address, uint32_t bytes, const Access &access, const Lane *lane) {
  Region *found = region(address, bytes);
  if (!found || (access.write && !found->writable)) {
    const auto after = regions.upper_bound(static_cast<uint8_t *>(const_cast<void *>(address)));
    std::string near = "none is mapped";
    if (after != regions.begin()) {
      const Region &before = std::prev(after)->second;
      near = "it is byte " + std::to_string(static_cast<const uint8_t *>(address) - before.base) + " of memory of " +
             std::to_string(before.size);
    }
    report(STEPDOWN_REPORT_bounds, lane, access.operation, "expects %s memory, but %s %u bytes: %s",
           found ? "writable" : "mapped", access.write ? "writes" : "reads", bytes, near.c_str());
    return false;
  }
  if (options.observer)
    options.observer->touches(address, bytes, access.write);
  if (!found->writable)
    return true; // reads alone are in no race
  // Cells lie at multiples of 16 of the address, not of the offset.
  const uint64_t skew = reinterpret_cast<uint64_t>(found->base) % 16;
  const uint64_t start = static_cast<const uint8_t *>(address) - found->base + skew, end = start + bytes;
  const uint64_t all = found->size + skew;
  for (uint64_t from = start; from < end;) {
    const uint64_t page = from / Region::pageBytes, first = page * Region::pageBytes;
    const uint64_t to = std::min(end, first + Region::pageBytes);
    if (page != found->latestPage) {
      found->latest = &found->pages[page]; // stays where it is while others come
      found->latestPage = page;
    }
    Cells &cells = *found->latest;
    if (cells.empty())
      cells.resize(std::min(all - first, Region::pageBytes));
    uint32_t other = 0;
    uint64_t at = 0;
    if (Conflict conflicting = cells.enter(from - first, uint32_t(to - from), access, false, other, at);
        conflicting != Conflict::None) {
      conflict(conflicting, access, other, lane, "global", first + at - skew);
      return false;
    }
    from = to;
  }
  return true;
}

bool State::touch(const void *address, uint32_t bytes, Access access, const Lane *lane, uint32_t alignment) {
  if (reinterpret_cast<uint64_t>(address) & (alignment - 1)) { // a power of two
    report(STEPDOWN_REPORT_alignment, lane, access.operation,
           "expects an address that is a multiple of %u, but got one %llu beyond", alignment,
           static_cast<unsigned long long>(reinterpret_cast<uint64_t>(address) % alignment));
    return false;
  }
  uint32_t offset;
  if (Block *block = sharedBlock(reinterpret_cast<uint64_t>(address), offset))
    return touchShared(*block, offset, bytes, access, lane);
  return touchGlobal(address, bytes, access, lane);
}

void State::countBanks(Lane &lane, uint32_t number, uint32_t offset, uint32_t bytes) {
  // Lanes come here one after another; an access of the warp is complete when one comes again, or all have come.
  const uint32_t width = lane.block->warpLanes, warps = lane.block->warps;
  std::unique_ptr<BankAccess[]> &ofOperation = bankAccesses[number];
  if (!ofOperation)
    ofOperation = std::make_unique<BankAccess[]>(size_t(warps) * blocks.size());
  BankAccess &access = ofOperation[lane.block->rank * warps + lane.warp()];
  const uint64_t bit = uint64_t(1) << lane.lane();
  // Of 16 bytes, AMD reads the lanes 0 to 3 of 32 with 20 to 23, 4 to 7 with 16 to 19, 8 to 11 with 28 to 31, 12 to 15
  // with 24 to 27 (AMD's account of LDS bank conflicts in CK-Tile); all else goes in the order of lanes.
  const bool crossed = kernel->amd && bytes == 16 && operation(number).kind == STEPDOWN_EMULATED_load;
  auto inOrder = [crossed](uint32_t i) -> uint32_t {
    if (!crossed || i % 8 < 4)
      return crossed ? i / 32 * 32 + i % 32 / 8 * 4 + i % 4 : i;
    constexpr uint32_t partners[] = {20, 16, 28, 24};
    return i / 32 * 32 + partners[i % 32 / 8] + i % 4;
  };
  auto evaluate = [&] {
    // A pass serves 128 bytes: 32 lanes of 4 bytes, 16 of 8, 8 of 16. Lanes that read one word share it.
    const uint32_t together = access.bytes <= 4 ? 32 : 128 / access.bytes, unit = std::max(access.bytes, 4u);
    const bool whole = (unit & (unit - 1)) == 0;
    for (uint32_t first = 0; first < width; first += together) {
      // As nearly always: of as many places as there are lanes each has one.
      uint32_t taken = 0;
      bool apart = whole;
      for (uint32_t i = first; i < first + together; ++i)
        if (const uint32_t l = inOrder(i); access.lanes >> l & 1) {
          const uint32_t place = 1u << (access.addresses[l] >> __builtin_ctz(unit) & (together - 1));
          apart &= !(taken & place) && (access.addresses[l] & (unit - 1)) == 0;
          taken |= place;
        }
      if (apart)
        continue;
      uint32_t words[32][32], counts[32] = {}, passes = 0;
      for (uint32_t i = first; i < first + together; ++i)
        if (const uint32_t l = inOrder(i); access.lanes >> l & 1)
          for (uint32_t w = access.addresses[l] / 4; w <= (access.addresses[l] + access.bytes - 1) / 4; ++w) {
            uint32_t &n = counts[w % 32];
            bool known = false;
            for (uint32_t k = 0; k < n; ++k)
              known |= words[w % 32][k] == w;
            if (!known && n < 32)
              words[w % 32][n++] = w;
          }
      for (uint32_t n : counts)
        passes = std::max(passes, n);
      statistics.bankConflicts += passes > 1 ? passes - 1 : 0;
    }
    ++statistics.sharedAccesses;
    access.lanes = 0;
  };
  if (access.lanes & bit)
    evaluate();
  access.lanes |= bit;
  access.bytes = bytes;
  access.addresses[lane.lane()] = offset;
  if (access.lanes == ~uint64_t(0) >> (64 - width))
    evaluate();
}

} // namespace stepdown::emulated
