// What waves of AMD do together: barriers and the fences that they need, exchanges between lanes, MFMA and WMMA.
//
// s_barrier alone orders nothing: LDS is written and read when the counters say so, and LLVM puts the waits for these
// where a fence is. So a barrier tells others what its lanes knew at their latest release fence, and what it has told a
// lane counts from that lane's next acquire fence on.
#include "runtime/emulated/Machine.h"
#include "runtime/emulated/MatrixLayout.h"
#include "runtime/emulated/Products.h"
#include <cfloat>
#include <cmath>
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

void State::fence(Lane &lane, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  if (at.modifiers[0])
    lane.view.join(lane.arrived);
  if (at.modifiers[1]) {
    lane.released = lane.view;
    release(lane);
  }
}

void State::waveBarrier(Block &block, Lane **lanes, uint32_t count, uint32_t number) {
  NamedBarrier &barrier = block.barriers[0];
  if (!barrier.arrived)
    barrier.view.reset(agents);
  barrier.operation = number;
  barrier.arrived += count;
  for (uint32_t i = 0; i < count; ++i) {
    barrier.view.join(lanes[i]->released);
    lanes[i]->barrierNumber = 0;
    lanes[i]->waiting = Waiting::Barrier;
  }
  if (barrier.arrived < block.lanes.size())
    return;
  barrier.arrived = 0;
  for (Lane &lane : block.lanes) {
    lane.arrived.join(barrier.view);
    wake(lane);
  }
}

void State::exchangeWave(Lane **lanes, uint32_t count, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  if (at.kind == STEPDOWN_EMULATED_first_lane) {
    for (uint32_t i = 0; i < count; ++i)
      for (uint32_t slot = 0; slot < at.results; ++slot)
        lanes[i]->frame[slot] = lanes[0]->frame[at.results + slot];
    return;
  }
  for (uint32_t i = 0; i < count; ++i) { // ds_bpermute: four times the number of the lane that is read
    const uint32_t from = slotAs<uint32_t>(lanes[i]->frame, at.results) / 4 % lanes[i]->block->warpLanes;
    if (from >= count)
      return report(STEPDOWN_REPORT_partial, lanes[i], number, "expects lane %u, which it takes from, to take part",
                    from);
    slotAs<uint32_t>(lanes[i]->frame, 0) = slotAs<uint32_t>(lanes[from]->frame, at.results + 1);
  }
}

void State::multiplyWave(Lane **lanes, uint32_t count, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  const uint32_t wave = lanes[0]->block->warpLanes;
  const bool mfma = at.kind == STEPDOWN_EMULATED_mfma, twice = !mfma && at.modifiers[0] == 0;
  const uint32_t rows = mfma ? at.modifiers[0] : 16, k = at.modifiers[1];
  auto typeA = ElementType(at.modifiers[3]), typeB = ElementType(at.modifiers[4]);
  if (wave != (mfma ? 64u : 32u) || count != wave)
    return report(STEPDOWN_REPORT_partial, lanes[0], number,
                  "expects all lanes of a wave of %u, but %u of %u are there", mfma ? 64 : 32, count, wave);
  const uint32_t bytes = elementBytes(typeA), held = twice ? 16 : rows * k / wave, sums = rows * rows / wave;
  const bool integers = ElementType(at.modifiers[2]) == ElementType::S32;
  const uint32_t slots = (held * bytes + 7) / 8;    // of an operand
  const uint32_t flags = integers && !mfma ? 1 : 0; // in front of it: whether it is signed
  const uint32_t behind = 2 * (flags + slots), sumSlots = (sums + 1) / 2;
  const uint32_t types = mfma && k == 64 ? 2 : 0; // behind the sums: 0 is e4m3, 1 e5m2, others are of fewer bits
  for (uint32_t i = 0; i < types; ++i) {
    const auto which = uint32_t(lanes[0]->frame[at.results + behind + sumSlots + i]);
    if (which > 1)
      return report(STEPDOWN_REPORT_operand, lanes[0], number, "expects factors of e4m3 or e5m2, but got type %u",
                    which);
    (i ? typeB : typeA) = which ? ElementType::E5M2 : ElementType::E4M3;
  }
  auto placeOperand = [&](uint32_t lane, uint32_t value) {
    return mfma    ? placeMfmaOperand(lane, value, rows, k)
           : twice ? placeWmmaOperandGfx11(lane, value)
                   : placeWmmaOperandGfx12(lane, value, bytes);
  };
  auto placeSum = [&](uint32_t lane, uint32_t value) {
    return mfma    ? placeMfmaSum(lane, value, rows)
           : twice ? placeWmmaSumGfx11(lane, value)
                   : placeWmmaSumGfx12(lane, value);
  };
  float a[32 * 64], b[64 * 32], sum[32 * 32], values[32];
  for (uint32_t l = 0; l < wave; ++l) {
    const uint64_t *frame = lanes[l]->frame + at.results;
    for (bool second : {false, true}) {
      const uint64_t *operand = frame + second * (flags + slots);
      if (flags && !(*operand & 1))
        return report(STEPDOWN_REPORT_operand, lanes[l], number, "expects operands with a sign");
      toFloats(second ? typeB : typeA, reinterpret_cast<const uint8_t *>(operand + flags), held, values);
      for (uint32_t v = 0; v < held; ++v) {
        const Place place = placeOperand(l, v);
        float &to = second ? b[place.column * rows + place.row] : a[place.row * k + place.column];
        if (twice && l >= 16 && std::memcmp(&to, &values[v], 4))
          return report(STEPDOWN_REPORT_operand, lanes[l], number,
                        "expects lanes 16 to 31 to hold what lanes 0 to 15 do, but element %u differs", v);
        to = values[v];
      }
    }
    for (uint32_t v = 0; v < sums; ++v) {
      const Place place = placeSum(l, v);
      std::memcpy(&sum[place.row * rows + place.column], reinterpret_cast<const uint32_t *>(frame + behind) + v, 4);
    }
    // Of MFMA cbsz, abid, blgp, or behind types what scales, each in a slot; of WMMA, whether sums of integers stop at
    // the largest.
    for (uint32_t i = behind + sumSlots + types; i < at.arguments; ++i)
      if (mfma ? uint32_t(frame[i]) != 0 : frame[i] & 1)
        return report(STEPDOWN_REPORT_operand, lanes[l], number, "%s",
                      types  ? "expects no scales"
                      : mfma ? "expects no broadcast and no permutation of operands"
                             : "expects sums that wrap");
  }
  // Subnormal numbers as zeros of their sign, where the chip has it so, of what the instruction takes and gives.
  auto flush = [&](float *numbers, uint32_t size, float smallest) {
    for (uint32_t i = 0; at.modifiers[5] && i < size; ++i)
      if (std::fabs(numbers[i]) < smallest)
        numbers[i] = std::copysign(0.0f, numbers[i]);
  };
  flush(a, rows * k, typeA == ElementType::F16 ? 0x1p-14f : FLT_MIN);
  flush(b, rows * k, typeB == ElementType::F16 ? 0x1p-14f : FLT_MIN);
  flush(sum, rows * rows, FLT_MIN);
  (integers ? multiplyIntegers : multiply)(sum, a, b, rows, rows, k);
  flush(sum, rows * rows, FLT_MIN);
  statistics.multiplyAdds += uint64_t(rows) * rows * k;
  for (uint32_t l = 0; l < wave; ++l)
    for (uint32_t v = 0; v < sums; ++v) {
      const Place place = placeSum(l, v);
      std::memcpy(reinterpret_cast<uint32_t *>(lanes[l]->frame) + v, &sum[place.row * rows + place.column], 4);
    }
}

} // namespace stepdown::emulated
