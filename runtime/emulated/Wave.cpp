// What waves of AMD do together: barriers and the fences that they need, exchanges between lanes, MFMA and WMMA.
//
// s_barrier alone orders nothing: LDS is written and read when the counters say so, and LLVM puts the waits for these
// where a fence is. So a barrier tells others what its lanes knew at their latest release fence, and what it has told a
// lane counts from that lane's next acquire fence on.
#include "runtime/emulated/Machine.h"
#include "runtime/emulated/MatrixLayout.h"
#include "runtime/emulated/Products.h"
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

namespace {

/// Where the elements of a matrix instruction are.
struct WavePlaces {
  bool mfma, twice;
  uint32_t rows, k, bytes;
  Place operand(uint32_t lane, uint32_t value) const {
    return mfma    ? placeMfmaOperand(lane, value, rows, k)
           : twice ? placeWmmaOperandGfx11(lane, value)
                   : placeWmmaOperandGfx12(lane, value, bytes);
  }
  Place sum(uint32_t lane, uint32_t value) const {
    return mfma    ? placeMfmaSum(lane, value, rows)
           : twice ? placeWmmaSumGfx11(lane, value)
                   : placeWmmaSumGfx12(lane, value);
  }
};

/// The numbers of a matrix instruction, by lanes: the sums of a lane are of one column, so it keeps them as it holds
/// them, and the first factor's rows are put in the order of these.
struct WaveNumbers {
  static constexpr uint32_t most = 32 * 64;
  float a[most];             // [lanes / rows, k, sums]
  float b[most];             // [rows, k]
  uint64_t words[2][64 * 4]; // of an operand, as lanes hold it
  float values[most];        // the same as numbers
};

/// Subnormal numbers as zeros of their sign, where the chip has it so of what an instruction takes and gives.
void flushSubnormals(float *numbers, uint32_t count, float smallest) {
  for (uint32_t i = 0; i < count; ++i)
    if (std::fabs(numbers[i]) < smallest)
      numbers[i] = std::copysign(0.0f, numbers[i]);
}

} // namespace

void State::fence(Lane &lane, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  if (at.modifiers[0] && lane.arrived) {
    if (lane.releasedAt && lane.released.empty()) { // what it releases is what it knew before
      lane.released = lane.view.plain;
      lane.released[lane.agent] = lane.releasedAt;
    }
    lane.view.plain.join(*lane.arrived);
    lane.arrived = nullptr;
  }
  if (at.modifiers[1]) {
    lane.releasedAt = lane.view.plain.at(lane.agent);
    lane.released.reset(0);
    release(lane);
  }
}

void State::waveBarrier(Block &block, Lane **lanes, uint32_t count, uint32_t number) {
  NamedBarrier &barrier = block.barriers[0];
  if (!barrier.arrived)
    barrier.view.plain.reset(agents);
  barrier.operation = number;
  barrier.arrived += count;
  for (uint32_t i = 0; i < count; ++i) {
    Lane &lane = *lanes[i];
    if (lane.releasedAt) {
      Knowledge &all = barrier.view.plain;
      const uint32_t known = all.at(lane.agent);
      all.join(lane.released.empty() ? lane.view.plain : lane.released);
      all[lane.agent] = std::max(known, lane.releasedAt); // it is further by now
    }
    lanes[i]->barrierNumber = 0;
    lanes[i]->waiting = Waiting::Barrier;
  }
  if (barrier.arrived < block.lanes.size())
    return;
  barrier.arrived = 0;
  const auto told = std::make_shared<const Knowledge>(barrier.view.plain);
  for (Lane &lane : block.lanes) {
    if (lane.arrived) { // and has not asked since
      auto more = std::make_shared<Knowledge>(*lane.arrived);
      more->join(*told);
      lane.arrived = std::move(more);
    } else {
      lane.arrived = told;
    }
    // All lanes have been told what it released: to say it again tells nobody more.
    lane.releasedAt = 0;
    lane.released.reset(0);
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
  // Each lane holds of one row, or column, `held` numbers, and of one column `sums`.
  WaveNumbers numbers;
  const uint32_t apart = slots * 8 / bytes, rowBits = rows == 32 ? 5 : 4; // numbers from a lane's to the next one's
  std::unique_ptr<WaveOrder> &order = waveOrders[number];
  if (!order) {
    order = std::make_unique<WaveOrder>();
    const WavePlaces places = {mfma, twice, rows, k, bytes};
    for (uint32_t group = 0; group < wave / rows; ++group) {
      for (uint32_t v = 0; v < sums; ++v)
        order->rows[places.sum(group * rows, v).row] = uint16_t(group * k * sums + v);
      for (uint32_t v = 0; v < held; ++v)
        order->columns[group][v] = uint16_t(places.operand(group * rows, v).column);
    }
  }
  float *made[mostLanes];
  for (uint32_t l = 0; l < wave; ++l) {
    made[l] = reinterpret_cast<float *>(lanes[l]->frame); // results come first
    const uint64_t *frame = lanes[l]->frame + at.results;
    for (uint32_t second = 0; second < 2; ++second, frame += slots) {
      if (flags && !(*frame++ & 1))
        return report(STEPDOWN_REPORT_operand, lanes[l], number, "expects operands with a sign");
      for (uint32_t s = 0; s < slots; ++s)
        numbers.words[second][l * slots + s] = frame[s];
    }
    // Of MFMA cbsz, abid, blgp, or behind types what scales, each in a slot; of WMMA, whether sums of integers stop at
    // the largest.
    for (uint32_t i = sumSlots + types; i < at.arguments - behind; ++i)
      if (mfma ? uint32_t(frame[i]) != 0 : frame[i] & 1)
        return report(STEPDOWN_REPORT_operand, lanes[l], number, "%s",
                      types  ? "expects no scales"
                      : mfma ? "expects no broadcast and no permutation of operands"
                             : "expects sums that wrap");
  }
  for (bool second : {false, true}) {
    const auto *raw = reinterpret_cast<const uint8_t *>(numbers.words[second]);
    for (uint32_t i = 0; twice && i < 16 * slots * 8; ++i)
      if (raw[i] != raw[i + 16 * slots * 8])
        return report(STEPDOWN_REPORT_operand, lanes[16 + i / (slots * 8)], number,
                      "expects lanes 16 to 31 to hold what lanes 0 to 15 do, but element %u differs",
                      i % (slots * 8) / bytes);
    const ElementType type = second ? typeB : typeA;
    toFloats(type, raw, wave * apart, numbers.values);
    if (at.modifiers[5])
      flushSubnormals(numbers.values, wave * apart, type == ElementType::F16 ? 0x1p-14f : FLT_MIN);
    for (uint32_t l = 0; l < (twice ? 16 : wave); ++l) {
      const uint16_t *columns = order->columns[l >> rowBits];
      const float *values = numbers.values + l * apart;
      const uint32_t row = l & (rows - 1);
      float *to = second ? numbers.b + row * k : numbers.a + order->rows[row];
      const uint32_t step = second ? 1 : sums;
      for (uint32_t v = 0; v < held; ++v)
        to[columns[v] * step] = values[v];
    }
  }
  const uint32_t given = 2 * (at.results + behind); // of a frame
  for (uint32_t l = 0; at.modifiers[5] && l < wave; ++l)
    flushSubnormals(made[l] + given, sums, FLT_MIN);
  (integers ? multiplyColumnsOfIntegers : multiplyColumns)(made, given, numbers.a, numbers.b, wave, rows, k);
  for (uint32_t l = 0; at.modifiers[5] && l < wave; ++l)
    flushSubnormals(made[l], sums, FLT_MIN);
  statistics.multiplyAdds += uint64_t(rows) * rows * k;
}

} // namespace stepdown::emulated
