// Loads and stores through AMD's buffer resources, which check bounds: what begins behind the end of a raw buffer loads
// zero, and is not stored. What crosses the end is a report: chips do not agree on it (each dword by itself, or all).
// So is what lies inside without its scalar offset and outside with it: LLVM's IntrinsicsAMDGPU.td (22.1) excludes that
// offset from the check, AMD's simulator of gfx950 counts it (ROCm/rocm-systems, addr_calc_buffer.h).
#include "runtime/emulated/Machine.h"
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

void State::accessBuffer(Lane &lane, uint32_t number, uint64_t *frame) {
  const stepdown_emulated_operation &at = operation(number);
  const bool store = at.kind == STEPDOWN_EMULATED_buffer_store;
  const uint32_t bytes = at.modifiers[0], alignment = bytes < 4 ? bytes : 4;
  // What is stored, then the resource as make.buffer.rsrc has it, then the offsets and the cache policy.
  uint64_t *a = frame + at.results + (store ? at.modifiers[1] : 0);
  const uint64_t base = slotAs<uint64_t>(a, 0), records = slotAs<uint64_t>(a, 2);
  const uint32_t stride = slotAs<uint16_t>(a, 1), offset = slotAs<uint32_t>(a, 4), scalar = slotAs<uint32_t>(a, 5);
  if (stride || records >> 32)
    return report(STEPDOWN_REPORT_operand, &lane, number,
                  "expects a raw buffer below 4 GiB, but got rows of %u bytes and %llu bytes", stride,
                  static_cast<unsigned long long>(records));
  auto *address = reinterpret_cast<uint8_t *>(base + offset + scalar);
  if (offset >= records) { // in both readings
    if (!store)
      std::memset(frame, 0, at.results * sizeof *frame);
    return;
  }
  if (offset + uint64_t(bytes) > records)
    return report(STEPDOWN_REPORT_bounds, &lane, number,
                  "expects all or nothing of %u bytes inside of its buffer of %llu, but got offset %u", bytes,
                  static_cast<unsigned long long>(records), offset);
  if (offset + uint64_t(scalar) + bytes > records)
    return report(STEPDOWN_REPORT_bounds, &lane, number,
                  "expects %u bytes inside of their buffer of %llu whether the scalar offset counts or not, but got "
                  "offset %u and scalar offset %u",
                  bytes, static_cast<unsigned long long>(records), offset, scalar);
  if (!touch(address, bytes, laneAccess(lane, number, store), &lane, alignment))
    return;
  if (store)
    std::memcpy(address, frame + at.results, bytes);
  else
    std::memcpy(frame, address, bytes);
}

} // namespace stepdown::emulated
