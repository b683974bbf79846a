#include "runtime/emulated/RaceCheck.h"
#include <algorithm>

namespace stepdown::emulated {

namespace {

// One body for each, inlined into a wrapper for AVX2: SSE2 has no maximum of unsigned integers.
inline __attribute__((always_inline)) void joinBody(uint32_t *to, const uint32_t *from, size_t n) {
  for (size_t i = 0; i < n; ++i)
    to[i] = to[i] > from[i] ? to[i] : from[i];
}
inline __attribute__((always_inline)) void meetBody(uint32_t *to, const uint32_t *from, size_t n) {
  for (size_t i = 0; i < n; ++i)
    to[i] = to[i] < from[i] ? to[i] : from[i];
}
__attribute__((target("avx2"))) void joinAvx2(uint32_t *to, const uint32_t *from, size_t n) { joinBody(to, from, n); }
__attribute__((target("avx2"))) void meetAvx2(uint32_t *to, const uint32_t *from, size_t n) { meetBody(to, from, n); }
void joinBase(uint32_t *to, const uint32_t *from, size_t n) { joinBody(to, from, n); }
void meetBase(uint32_t *to, const uint32_t *from, size_t n) { meetBody(to, from, n); }
const bool avx2 = __builtin_cpu_supports("avx2");

} // namespace

void Knowledge::join(const Knowledge &other) {
  ++changes;
  (avx2 ? joinAvx2 : joinBase)(times.data(), other.times.data(), times.size());
}

void Knowledge::meet(const Knowledge &other) {
  (avx2 ? meetAvx2 : meetBase)(times.data(), other.times.data(), times.size());
}

Conflict enter(Cell &cell, uint8_t mask, const Access &access, uint32_t &other) {
  const Knowledge &known = access.view->plain;
  Conflict conflict = Conflict::None;
  if (cell.cluster && cell.cluster != access.cluster) {
    // Another block of the grid, not one of this cluster: nothing orders the two but atomics.
    const bool theyWrote = cell.write.agent && (cell.writeBytes & mask);
    if (theyWrote && !(cell.atomic && access.atomic)) {
      other = cell.writeOperation;
      conflict = Conflict::Race;
    } else if (access.write && cell.read) {
      other = cell.readOperation;
      conflict = Conflict::Race;
    }
    cell.read = false;
    if (access.write)
      cell.write = {};
    cell.reads[0] = cell.reads[1] = {};
  } else if (cell.write.agent && (cell.writeBytes & mask) && !known.knows(cell.write) &&
             !(cell.atomic && access.atomic)) {
    other = cell.writeOperation;
    conflict = Conflict::Race;
  } else if (access.asynchronous && !access.write && cell.write.agent && !cell.asynchronous &&
             (cell.writeBytes & mask) && !access.view->fenced.knows(cell.write)) {
    other = cell.writeOperation;
    conflict = Conflict::Proxy;
  } else if (access.write) {
    for (const Epoch &reader : cell.reads)
      if (reader.agent && !known.knows(reader)) {
        other = cell.readOperation;
        conflict = Conflict::Race;
      }
  }
  if (!access.write && access.mustBeWritten && (cell.writtenBytes & mask) != mask) {
    other = access.operation;
    conflict = Conflict::Unwritten;
  }
  cell.cluster = access.cluster;
  if (access.write) {
    cell.write = access.epoch;
    cell.writeBytes = mask;
    cell.writtenBytes |= mask;
    cell.writeOperation = access.operation;
    cell.asynchronous = access.asynchronous;
    cell.atomic = access.atomic;
    cell.reads[0] = cell.reads[1] = {}; // ordered before this write, so before what follows it
  } else {
    // A reader that this one knows of need not be kept; of more than two, the oldest makes room.
    Epoch *place = &cell.reads[0];
    if (place->agent && place->agent != access.epoch.agent && !known.knows(*place)) {
      place = &cell.reads[1];
      if (place->agent && place->agent != access.epoch.agent && !known.knows(*place))
        cell.reads[0] = cell.reads[1];
    }
    *place = access.epoch;
    cell.readOperation = access.operation;
    cell.read = true;
  }
  return conflict;
}

void Cells::resize(size_t bytes) {
  lines.resize((bytes + 15) / 16);
  words.resize(lines.size() * 4);
  split.resize(lines.size());
}

Conflict Cells::enter(uint64_t offset, uint32_t bytes, const Access &access, bool perCluster, uint32_t &other,
                      uint64_t &at) {
  for (at = offset; at < offset + bytes;) {
    const uint64_t line = at / 16;
    Cell &whole = lines[line];
    if (perCluster && whole.cluster != access.cluster) {
      whole = Cell();
      whole.cluster = access.cluster;
      split[line] = false;
    }
    const bool all = at % 16 == 0 && offset + bytes - at >= 16;
    if (all && !split[line]) {
      if (Conflict found = emulated::enter(whole, 15, access, other); found != Conflict::None)
        return found;
      at += 16;
      continue;
    }
    if (!split[line]) {
      std::fill_n(&words[line * 4], 4, whole);
      split[line] = true;
    }
    const uint64_t end = std::min<uint64_t>(offset + bytes, line * 16 + 16);
    while (at < end) {
      const uint32_t in = at % 4, n = uint32_t(std::min<uint64_t>(4 - in, end - at));
      if (Conflict found = emulated::enter(words[at / 4], uint8_t(((1u << n) - 1) << in), access, other);
          found != Conflict::None)
        return found;
      at += n;
    }
    if (all && access.write) { // the four are alike again
      whole = words[line * 4];
      split[line] = false;
    }
  }
  return Conflict::None;
}

} // namespace stepdown::emulated
