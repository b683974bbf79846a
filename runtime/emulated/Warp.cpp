// Operations that the lanes of a warp do together, and those of a lane alone.
#include "runtime/emulated/Machine.h"
#include <cmath>
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

namespace {

uint32_t roundToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

uint32_t roundToF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t sign = bits >> 16 & 0x8000;
  const float magnitude = std::fabs(value);
  if (magnitude != magnitude)
    return 0x7fff;
  if (magnitude >= 65520.0f)
    return sign | 0x7c00;
  if (magnitude < 0x1p-14f)
    return sign | uint32_t(std::nearbyint(magnitude * 0x1p24f));
  bits &= 0x7fffffff;
  return sign | ((bits + 0xfff + (bits >> 13 & 1) - (112u << 23)) >> 13);
}

uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t pick = selector >> 4 * i & 15;
    uint32_t byte = bytes >> 8 * (pick & 7) & 255;
    if (pick & 8)
      byte = byte & 128 ? 255 : 0;
    out |= byte << 8 * i;
  }
  return out;
}

/// v_perm_b32: bytes 0 to 3 are of `low`, 4 to 7 of `high`, of which a byte of the selector from 8 to 11 asks for the
/// sign of an odd one; 12 is zero, and more than that all ones.
uint32_t selectBytes(uint32_t high, uint32_t low, uint32_t selector) {
  const uint64_t bytes = uint64_t(high) << 32 | low;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t pick = selector >> 8 * i & 255;
    const uint32_t byte = pick < 8    ? bytes >> 8 * pick & 255
                          : pick < 12 ? (bytes >> (16 * (pick - 8) + 15) & 1) * 255
                          : pick > 12 ? 255
                                      : 0;
    out |= byte << 8 * i;
  }
  return out;
}

} // namespace

void State::perform(Lane &lane, uint32_t number, uint64_t *frame) {
  const stepdown_emulated_operation &at = operation(number);
  uint64_t *a = frame + at.results;
  const int32_t axis = at.modifiers[0];
  auto give = [&](uint32_t value) { slotAs<uint32_t>(frame, 0) = value; };
  auto giveFloat = [&](float value) { slotAs<float>(frame, 0) = value; };
  switch (at.kind) {
  case STEPDOWN_EMULATED_shared_base:
    slotAs<uint64_t>(frame, 0) = reinterpret_cast<uint64_t>(lane.block->shared);
    return;
  case STEPDOWN_EMULATED_thread_index:
    return give(lane.index[axis]);
  case STEPDOWN_EMULATED_thread_count:
    return give(shape.block[axis]);
  case STEPDOWN_EMULATED_block_index:
    return give(lane.block->index[axis]);
  case STEPDOWN_EMULATED_block_count:
    return give(shape.grid[axis]);
  case STEPDOWN_EMULATED_cluster_index:
    return give(clusterIndex[axis]);
  case STEPDOWN_EMULATED_cluster_count:
    return give(axis ? shape.grid[axis] : shape.grid[0] / shape.cluster);
  case STEPDOWN_EMULATED_block_in_cluster:
    return give(axis ? 0 : lane.block->rank);
  case STEPDOWN_EMULATED_blocks_of_cluster:
    return give(axis ? 1 : shape.cluster);
  case STEPDOWN_EMULATED_cluster_rank:
    return give(lane.block->rank);
  case STEPDOWN_EMULATED_cluster_size:
    return give(shape.cluster);
  case STEPDOWN_EMULATED_lane_index:
    return give(lane.lane());
  case STEPDOWN_EMULATED_warp_index:
    return give(lane.warp());
  case STEPDOWN_EMULATED_hidden_arguments:
    slotAs<uint64_t>(frame, 0) = reinterpret_cast<uint64_t>(hidden);
    return;
  case STEPDOWN_EMULATED_hint:
  case STEPDOWN_EMULATED_fence:
    return;
  case STEPDOWN_EMULATED_map_shared: {
    uint32_t offset;
    const uint32_t rank = slotAs<uint32_t>(a, 1);
    if (!sharedBlock(slotAs<uint64_t>(a, 0), offset) || rank >= blocks.size())
      return report(STEPDOWN_REPORT_operand, &lane, number,
                    "expects shared memory of one of %zu blocks, but got block %u", blocks.size(), rank);
    slotAs<uint64_t>(frame, 0) = reinterpret_cast<uint64_t>(blocks[rank].shared) + offset;
    return;
  }
  case STEPDOWN_EMULATED_power2:
    return giveFloat(float(std::exp2(double(slotAs<float>(a, 0)))));
  case STEPDOWN_EMULATED_log2:
    return giveFloat(float(std::log2(double(slotAs<float>(a, 0)))));
  case STEPDOWN_EMULATED_reciprocal:
    return giveFloat(1.0f / slotAs<float>(a, 0));
  case STEPDOWN_EMULATED_reciprocal_root:
    return giveFloat(float(1.0 / std::sqrt(double(slotAs<float>(a, 0)))));
  case STEPDOWN_EMULATED_root:
    return giveFloat(std::sqrt(slotAs<float>(a, 0)));
  case STEPDOWN_EMULATED_tangent:
    return giveFloat(float(std::tanh(double(slotAs<float>(a, 0)))));
  case STEPDOWN_EMULATED_to_bf16_pair: // the first operand lies above
    return give(roundToBf16(slotAs<float>(a, 0)) << 16 | roundToBf16(slotAs<float>(a, 1)));
  case STEPDOWN_EMULATED_to_f16_pair:
    return give(roundToF16(slotAs<float>(a, 0)) << 16 | roundToF16(slotAs<float>(a, 1)));
  case STEPDOWN_EMULATED_to_bf16:
    return give(roundToBf16(slotAs<float>(a, 0)));
  case STEPDOWN_EMULATED_permute_bytes:
    return give(permute(slotAs<uint32_t>(a, 0), slotAs<uint32_t>(a, 1), slotAs<uint32_t>(a, 2)));
  case STEPDOWN_EMULATED_select_bytes:
    return give(selectBytes(slotAs<uint32_t>(a, 0), slotAs<uint32_t>(a, 1), slotAs<uint32_t>(a, 2)));
  default:
    report(STEPDOWN_REPORT_operand, &lane, number, "expects an operation that the emulator has");
  }
}

void State::exchange(Lane **lanes, uint32_t count, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  const int32_t kind = at.modifiers[0];
  auto argument = [&](const Lane *lane, uint32_t i) -> uint32_t { return uint32_t(lane->frame[at.results + i]); };
  Lane *byLane[warpLanes] = {};
  for (uint32_t i = 0; i < count; ++i)
    byLane[lanes[i]->lane()] = lanes[i];
  if (at.kind == STEPDOWN_EMULATED_shuffle) {
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t lane = lanes[i]->lane(), by = argument(lanes[i], 2), control = argument(lanes[i], 3);
      const uint32_t clamp = control & 31, segment = control >> 8 & 31, low = lane & segment;
      const uint32_t high = low | (clamp & ~segment);
      const int32_t from = kind == 0   ? int32_t(low | (by & ~segment & 31))
                           : kind == 1 ? int32_t(lane ^ (by & 31))
                           : kind == 2 ? int32_t(lane) - int32_t(by & 31)
                                       : int32_t(lane + (by & 31));
      const bool inside = kind == 2 ? from >= int32_t(high) : from <= int32_t(high);
      Lane *source = byLane[inside ? from : lane];
      if (!source)
        return report(STEPDOWN_REPORT_partial, lanes[i], number, "expects lane %d, which it takes from, to take part",
                      from);
      slotAs<uint32_t>(lanes[i]->frame, 0) = argument(source, 1);
      if (at.modifiers[1])
        slotAs<uint32_t>(lanes[i]->frame, 1) = inside;
    }
    return;
  }
  if (at.kind == STEPDOWN_EMULATED_elect) {
    const Lane *leader = lanes[options.seed % count];
    for (uint32_t i = 0; i < count; ++i) {
      slotAs<uint32_t>(lanes[i]->frame, 0) = leader->lane();
      slotAs<uint32_t>(lanes[i]->frame, 1) = lanes[i] == leader;
    }
    return;
  }
  if (at.kind == STEPDOWN_EMULATED_vote) {
    uint32_t ballot = 0, all = 0;
    for (uint32_t i = 0; i < count; ++i) {
      all |= 1u << lanes[i]->lane();
      ballot |= (argument(lanes[i], 1) & 1) << lanes[i]->lane();
    }
    const uint32_t out = kind == 0   ? ballot == all
                         : kind == 1 ? ballot != 0
                         : kind == 2 ? ballot == all || ballot == 0
                                     : ballot;
    for (uint32_t i = 0; i < count; ++i)
      slotAs<uint32_t>(lanes[i]->frame, 0) = out;
    return;
  }
  uint32_t sum = argument(lanes[0], 0);
  for (uint32_t i = 1; i < count; ++i) {
    const uint32_t x = argument(lanes[i], 0);
    switch (kind) {
    case 0:
      sum += x;
      break;
    case 1:
      sum = int32_t(x) < int32_t(sum) ? x : sum;
      break;
    case 2:
      sum = int32_t(x) > int32_t(sum) ? x : sum;
      break;
    case 3:
      sum = x < sum ? x : sum;
      break;
    case 4:
      sum = x > sum ? x : sum;
      break;
    case 5:
      sum &= x;
      break;
    case 6:
      sum |= x;
      break;
    default:
      sum ^= x;
    }
  }
  for (uint32_t i = 0; i < count; ++i)
    slotAs<uint32_t>(lanes[i]->frame, 0) = sum;
}

void State::performWarp(Block &block, Lane **lanes, uint32_t count, uint32_t number) {
  switch (operation(number).kind) {
  case STEPDOWN_EMULATED_warp_barrier: {
    const uint32_t mask = uint32_t(lanes[0]->frame[operation(number).results]);
    for (uint32_t i = 0; i < count; ++i)
      if (!(mask >> lanes[i]->lane() & 1))
        return report(STEPDOWN_REPORT_operand, lanes[i], number, "expects a mask with the lane itself, but got %08x",
                      mask);
    View all = lanes[0]->view;
    for (uint32_t i = 1; i < count; ++i)
      all.join(lanes[i]->view);
    for (uint32_t i = 0; i < count; ++i) {
      lanes[i]->view = all;
      release(*lanes[i]);
    }
    return;
  }
  case STEPDOWN_EMULATED_barrier_all:
  case STEPDOWN_EMULATED_barrier_count:
  case STEPDOWN_EMULATED_barrier_arrive:
    return barrierWarp(block, lanes, count, number);
  case STEPDOWN_EMULATED_cluster_arrive:
  case STEPDOWN_EMULATED_cluster_wait:
    return clusterWarp(lanes, count, number);
  case STEPDOWN_EMULATED_load_matrix:
  case STEPDOWN_EMULATED_store_matrix:
    return moveMatrices(lanes, number);
  case STEPDOWN_EMULATED_mma:
    return multiplyWarp(lanes, number);
  case STEPDOWN_EMULATED_wave_barrier_all:
    return waveBarrier(block, lanes, count, number);
  case STEPDOWN_EMULATED_first_lane:
  case STEPDOWN_EMULATED_read_lanes:
    return exchangeWave(lanes, count, number);
  case STEPDOWN_EMULATED_mfma:
  case STEPDOWN_EMULATED_wmma:
    return multiplyWave(lanes, count, number);
  default:
    return exchange(lanes, count, number);
  }
}

} // namespace stepdown::emulated
