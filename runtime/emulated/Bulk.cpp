// Copies that the machine does on its own: TMA (cp.async.bulk.tensor) and cp.async. They are checked and entered in the
// race check when they are issued, and move bytes when they complete.
#include "runtime/emulated/Machine.h"
#include "runtime/emulated/MatrixLayout.h"
#include <algorithm>
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

namespace {

uint32_t boxBytes(const stepdown_tensor_map &map) {
  uint32_t bytes = map.element_bytes;
  for (int i = 0; i < map.rank; ++i)
    bytes *= map.box[i];
  return bytes;
}

constexpr uint32_t typeF32 = 7; // CU_TENSOR_MAP_DATA_TYPE_FLOAT32

/// What cuTensorMapEncodeTiled and the instruction would refuse, and sums of types that are not added here; null where
/// nothing is wrong.
const char *wrong(const stepdown_tensor_map &map, uint32_t rank, uint32_t offset, Pending::Kind kind) {
  if (map.check != STEPDOWN_EMULATION_MAGIC)
    return "an encoded tensor map";
  if (map.rank != rank)
    return "a tensor map of the instruction's rank";
  if (kind == Pending::BulkReduce && (map.element_type != typeF32 || map.element_bytes != 4))
    return "a tensor of f32, which alone the emulator adds to";
  if (map.address % 16)
    return "a tensor at a multiple of 16";
  if (map.box[0] * map.element_bytes % 16)
    return "a box whose rows are multiples of 16 bytes";
  if (map.swizzle && map.box[0] * map.element_bytes > 16u << map.swizzle)
    return "a box whose rows are at most as long as the swizzle";
  for (int i = 0; i < map.rank; ++i)
    if (map.box[i] == 0 || map.box[i] > 256)
      return "a box of 1 to 256 elements along each dimension";
  if (offset % 128)
    return "shared memory at a multiple of 128";
  return nullptr;
}

/// Calls `row(from, inside, to)` for each row of the box: the address of its first element, the bytes of it from the
/// first on that lie inside the tensor (with those in front of it), and its offset in an unswizzled box.
template <typename F> void eachRow(const stepdown_tensor_map &map, const int32_t *at, F &&row) {
  uint32_t index[5] = {};
  const uint32_t rowBytes = map.box[0] * map.element_bytes;
  uint32_t to = 0;
  for (;;) {
    int64_t address = int64_t(map.address) + int64_t(at[0]) * map.element_bytes;
    bool inside = true;
    for (int i = 1; i < map.rank; ++i) {
      const int64_t x = int64_t(at[i]) + index[i];
      inside = inside && x >= 0 && x < int64_t(map.sizes[i]);
      address += x * (int64_t(map.strides[i - 1]) * 16);
    }
    const int64_t first = std::clamp<int64_t>(-int64_t(at[0]), 0, map.box[0]);
    const int64_t last = std::clamp<int64_t>(int64_t(map.sizes[0]) - at[0], first, map.box[0]);
    row(reinterpret_cast<uint8_t *>(address), inside ? uint32_t(first * map.element_bytes) : rowBytes,
        inside ? uint32_t(last * map.element_bytes) : rowBytes, to);
    to += rowBytes;
    int i = 1;
    for (; i < map.rank; ++i) {
      if (++index[i] < map.box[i])
        break;
      index[i] = 0;
    }
    if (i >= map.rank)
      return;
  }
}

} // namespace

void State::issueBulk(Lane &lane, uint32_t number, uint64_t *frame) {
  const stepdown_emulated_operation &at = operation(number);
  const uint64_t *a = frame + at.results;
  const uint32_t rank = at.modifiers[0];
  const bool load = at.kind == STEPDOWN_EMULATED_bulk_load;
  Pending work;
  work.kind = load                                      ? Pending::BulkLoad
              : at.kind == STEPDOWN_EMULATED_bulk_store ? Pending::BulkStore
                                                        : Pending::BulkReduce;
  work.operation = number;
  work.lane = &lane;
  const uint32_t first = load ? 3 : 2;
  const auto *map = reinterpret_cast<const stepdown_tensor_map *>(a[first - 1]);
  const auto *begin = parameters.data();
  if (reinterpret_cast<const uint8_t *>(map) < begin ||
      reinterpret_cast<const uint8_t *>(map + 1) > begin + parameters.size())
    return report(STEPDOWN_REPORT_operand, &lane, number, "expects a tensor map among the kernel's parameters");
  work.map = *map;
  for (uint32_t i = 0; i < rank; ++i)
    work.at[i] = int32_t(uint32_t(a[first + i]));
  work.block = sharedBlock(a[0], work.offset);
  if (!work.block)
    return report(STEPDOWN_REPORT_bounds, &lane, number, "expects shared memory as %s",
                  load ? "destination" : "source");
  if (const char *expected = wrong(work.map, rank, work.offset, work.kind))
    return report(STEPDOWN_REPORT_operand, &lane, number,
                  "expects %s, but got shared %u, rank %u, swizzle %u, type %u of %u bytes", expected, work.offset,
                  work.map.rank, work.map.swizzle, work.map.element_type, work.map.element_bytes);
  const uint32_t bytes = work.bytes = boxBytes(work.map);
  statistics.bulkBytes += bytes;
  Access access = {};
  access.view = &lane.view;
  access.operation = number;
  access.cluster = clusterSerial;
  access.asynchronous = true;
  if (!load) {
    if (!lane.hasBulk) {
      lane.hasBulk = true;
      lane.bulkReads = newAgent();
      lane.bulkWrites = newAgent();
    }
    work.group = lane.bulkCommitted + 1;
    ++lane.bulkOpen;
    access.epoch = {work.group, Agent(lane.bulkReads + 1)};
    if (!touchShared(*work.block, work.offset, bytes, access, &lane))
      return;
    access.epoch = {work.group, Agent(lane.bulkWrites + 1)};
    access.write = true;
    access.atomic = work.kind == Pending::BulkReduce;
    eachRow(work.map, work.at, [&](uint8_t *row, uint32_t from, uint32_t to, uint32_t) {
      if (from < to && !failed)
        touchGlobal(row + from, to - from, access, &lane);
    });
    if (!failed)
      pending.push_back(work);
    return;
  }
  const bool multicast = at.modifiers[1] == 0 && (a[first + rank + 2] & 1);
  const uint32_t mask = multicast ? uint32_t(a[first + rank] & 0xffff) : 1u << work.block->rank;
  uint32_t barrierOffset;
  if (!sharedBlock(a[1], barrierOffset))
    return report(STEPDOWN_REPORT_bounds, &lane, number, "expects an mbarrier in shared memory");
  if (mask == 0 || mask >> blocks.size())
    return report(STEPDOWN_REPORT_operand, &lane, number, "expects blocks of the cluster of %zu, but got mask %x",
                  blocks.size(), mask);
  for (uint32_t rankOf = 0; rankOf < blocks.size(); ++rankOf) {
    if (!(mask >> rankOf & 1))
      continue;
    Block &block = blocks[rankOf];
    MBarrier *barrier = mbarrier(lane, number, reinterpret_cast<uint64_t>(block.shared) + barrierOffset);
    if (!barrier)
      return;
    if (!barrier->announced)
      return report(
          STEPDOWN_REPORT_proxy, &lane, number,
          "uses the mbarrier at shared %u asynchronously, which %s initialised, with no fence.mbarrier_init or "
          "fence.proxy.async between",
          barrier->address, where(barrier->initOperation).c_str());
    work.block = &block;
    work.barrier = barrier;
    access.epoch = {barrier->phase + 1, Agent(barrier->agent + 1)};
    access.write = true;
    if (!touchShared(block, work.offset, bytes, access, &lane))
      return;
    access.write = false;
    eachRow(work.map, work.at, [&](uint8_t *row, uint32_t from, uint32_t to, uint32_t) {
      if (from < to && !failed)
        touchGlobal(row + from, to - from, access, &lane);
    });
    if (failed)
      return;
    ++barrier->inFlight;
    pending.push_back(work);
  }
}

void State::issueCopy(Lane &lane, uint32_t number, uint64_t *frame) {
  const stepdown_emulated_operation &at = operation(number);
  const uint64_t *a = frame + at.results;
  Pending work;
  work.kind = Pending::Copy;
  work.operation = number;
  work.lane = &lane;
  work.bytes = at.modifiers[0];
  work.sourceBytes = at.modifiers[1] ? uint32_t(a[2]) : work.bytes;
  work.from = reinterpret_cast<const uint8_t *>(a[1]);
  work.block = sharedBlock(a[0], work.offset);
  if (!work.block || work.offset % work.bytes || a[1] % work.bytes || work.sourceBytes > work.bytes)
    return report(work.block ? STEPDOWN_REPORT_alignment : STEPDOWN_REPORT_bounds, &lane, number,
                  "expects shared and global memory at multiples of %u and at most so many bytes", work.bytes);
  if (!lane.hasCopies) {
    lane.hasCopies = true;
    lane.copies = newAgent();
  }
  work.group = lane.copyCommitted + 1;
  Access access = laneAccess(lane, number, false);
  access.epoch = {work.group, Agent(lane.copies + 1)};
  if (work.sourceBytes && !touchGlobal(work.from, work.sourceBytes, access, &lane))
    return;
  access.write = true;
  if (touchShared(*work.block, work.offset, work.bytes, access, &lane))
    pending.push_back(work);
}

void State::moveBulk(const Pending &work) {
  uint8_t *shared = work.block->shared;
  if (work.kind == Pending::Copy) {
    std::memcpy(shared + work.offset, work.from, work.sourceBytes);
    std::memset(shared + work.offset + work.sourceBytes, 0, work.bytes - work.sourceBytes);
    return;
  }
  const uint32_t rowBytes = work.map.box[0] * work.map.element_bytes;
  const uint8_t filler = work.map.fill_nan ? 0xff : 0;
  eachRow(work.map, work.at, [&](uint8_t *row, uint32_t from, uint32_t to, uint32_t offset) {
    for (uint32_t at = 0; at < rowBytes; at += 16) { // a swizzle moves 16 bytes together
      uint8_t *there = shared + swizzle(work.offset + offset + at, work.map.swizzle);
      const uint32_t begin = std::clamp(from, at, at + 16) - at, end = std::clamp(to, at, at + 16) - at;
      if (work.kind == Pending::BulkLoad && begin == 0 && end == 16) {
        std::memcpy(there, row + at, 16);
      } else if (work.kind == Pending::BulkLoad) {
        if (begin != 0 || end != 16)
          std::memset(there, filler, 16);
        if (begin < end)
          std::memcpy(there + begin, row + at + begin, end - begin);
      } else if (begin < end && work.kind == Pending::BulkStore) {
        std::memcpy(row + at + begin, there + begin, end - begin);
      } else if (begin < end) {
        for (uint32_t i = begin; i < end; i += 4) { // of f32, see wrong()
          float sum, x;
          std::memcpy(&sum, row + at + i, 4);
          std::memcpy(&x, there + i, 4);
          sum += x;
          std::memcpy(row + at + i, &sum, 4);
        }
      }
    }
  });
  if (work.kind != Pending::BulkLoad)
    return;
  MBarrier &barrier = *work.barrier;
  --barrier.inFlight;
  barrier.bytes -= work.bytes;
  if (barrier.pending == 0 && barrier.bytes == 0)
    completePhase(barrier, work.lane, work.operation);
}

void State::completeBulk(Lane &lane, uint32_t upTo, bool copies) {
  for (size_t i = 0; i < pending.size();) {
    const Pending &work = pending[i];
    const bool mine = work.lane == &lane && work.kind != Pending::BulkLoad && (work.kind == Pending::Copy) == copies;
    if (mine && work.group <= upTo)
      completeOne(i);
    else
      ++i;
  }
}

} // namespace stepdown::emulated
