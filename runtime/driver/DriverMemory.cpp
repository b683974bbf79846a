#include "runtime/driver/DriverMemory.h"

#include "runtime/AddressSpace.h"
#include "runtime/driver/DriverRecords.h"
#include <algorithm>

namespace stepdown::driver {
namespace {

/// A piece is no larger, so that discard() finds whole ones.
constexpr size_t kLargestPiece = size_t(1) << 26;

MemoryProperties propertiesOn(const Context &context) {
  MemoryProperties properties;
  properties.place.device = context.gpu.number;
  return properties;
}

} // namespace

ReservedMemory::~ReservedMemory() {
  if (!context.enter())
    return; // with the GPU went its memory
  for (auto &[address, range] : ranges)
    end(address, range);
}

Result<Memory> ReservedMemory::reserve(const char *purpose, size_t slack) {
  const Driver &driver = context.driver;
  if (Status entered = context.enter(); !entered)
    return entered.error();
  size_t free = 0, total = 0;
  if (int error = driver.memory(&free, &total))
    return context.refused(error, ErrorCode::DriverRefused, "to be told of its memory");
  Range range;
  uint64_t address = 0;
  int maps = 0;
  if (driver.attribute && driver.attribute(&maps, kMapsMemory, context.gpu.number) == 0 && maps) {
    const MemoryProperties properties = propertiesOn(context);
    if (int error = driver.granularity(&range.granule, &properties, 0))
      return context.refused(error, ErrorCode::DriverRefused, "to be told how it maps memory");
    range.bytes = total / range.granule * range.granule;
    if (int error = driver.reserveAddresses(&address, range.bytes + range.granule, 0, 0, 0))
      return context.noMemory(error, purpose, range.bytes);
  } else {
    int error = kOutOfMemory;
    for (size_t bytes = free / 4 / 4096 * 4096; bytes >= kFewestReservedBytes; bytes = bytes / 2 / 4096 * 4096)
      if (error = driver.allocate(&address, bytes + slack); error != kOutOfMemory) {
        range.bytes = bytes;
        break;
      }
    if (error)
      return context.noMemory(error, purpose, kFewestReservedBytes);
  }
  std::lock_guard<std::mutex> lock(mutex);
  const size_t bytes = range.bytes;
  ranges[address] = std::move(range);
  return Memory{address, nullptr, bytes};
}

Status ReservedMemory::map(Range &range, uint64_t address, size_t bytes) {
  const Driver &driver = context.driver;
  const MemoryProperties properties = propertiesOn(context);
  Piece piece{bytes, 0};
  if (int error = driver.createMemory(&piece.handle, bytes, &properties, 0))
    return context.noMemory(error, "arena", bytes);
  if (int error = driver.mapMemory(address, bytes, 0, piece.handle, 0)) {
    driver.releaseMemory(piece.handle);
    return context.refused(error, ErrorCode::DriverRefused, "arena: to map memory");
  }
  MemoryAccess access;
  access.place = properties.place;
  if (int error = driver.setAccess(address, bytes, &access, 1)) {
    unmap(address, piece);
    return context.refused(error, ErrorCode::DriverRefused, "arena: to reach mapped memory");
  }
  range.pieces[address] = piece;
  return Done{};
}

Status ReservedMemory::commit(const Memory &memory, size_t from, size_t to, size_t slack) {
  std::lock_guard<std::mutex> lock(mutex);
  auto at = ranges.find(memory.address);
  if (at == ranges.end() || at->second.granule == 0 || from >= to)
    return Done{};
  Range &range = at->second;
  const size_t granule = range.granule;
  const uint64_t end = memory.address + (std::min(to, range.bytes) + slack + granule - 1) / granule * granule;
  uint64_t next = memory.address + from / granule * granule;
  bool entered = false;
  while (next < end) {
    auto after = range.pieces.upper_bound(next);
    if (after != range.pieces.begin()) {
      const auto &[begin, piece] = *std::prev(after);
      if (next < begin + piece.bytes) {
        next = begin + piece.bytes;
        continue;
      }
    }
    const uint64_t gap = (after == range.pieces.end() ? end : std::min(end, after->first)) - next;
    if (!entered)
      if (Status in = context.enter(); !in)
        return in;
    entered = true;
    if (Status mapped = map(range, next, std::min<uint64_t>(gap, kLargestPiece)); !mapped)
      return mapped;
  }
  return Done{};
}

void ReservedMemory::unmap(uint64_t address, const Piece &piece) const {
  context.driver.unmapMemory(address, piece.bytes);
  context.driver.releaseMemory(piece.handle);
}

void ReservedMemory::end(uint64_t address, Range &range) const {
  for (const auto &[begin, piece] : range.pieces)
    unmap(begin, piece);
  if (range.granule)
    context.driver.freeAddresses(address, range.bytes + range.granule);
  else
    context.driver.release(address);
}

void ReservedMemory::discard(const Memory &memory, size_t from, size_t to) {
  std::lock_guard<std::mutex> lock(mutex);
  auto at = ranges.find(memory.address);
  if (at == ranges.end() || !context.enter())
    return;
  auto &pieces = at->second.pieces;
  for (auto piece = pieces.lower_bound(memory.address + from); piece != pieces.end();) {
    if (piece->first + piece->second.bytes > memory.address + to)
      break;
    unmap(piece->first, piece->second);
    piece = pieces.erase(piece);
  }
}

bool ReservedMemory::release(uint64_t address) {
  std::lock_guard<std::mutex> lock(mutex);
  auto at = ranges.find(address);
  if (at == ranges.end())
    return false;
  if (context.enter())
    end(address, at->second);
  ranges.erase(at);
  return true;
}

size_t ReservedMemory::committed() const {
  std::lock_guard<std::mutex> lock(mutex);
  size_t bytes = 0;
  for (const auto &[address, range] : ranges) {
    bytes += range.granule ? 0 : range.bytes;
    for (const auto &[begin, piece] : range.pieces)
      bytes += piece.bytes;
  }
  return bytes;
}

} // namespace stepdown::driver
