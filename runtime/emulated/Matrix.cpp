// ldmatrix, stmatrix and mma.sync, done by a warp at once, and wgmma, which a warpgroup issues and which reads its
// operands and writes its accumulators only when it completes.
#include "runtime/emulated/Machine.h"
#include "runtime/emulated/MatrixLayout.h"
#include "runtime/emulated/Products.h"
#include <cstring>

namespace stepdown::emulated {

using State = Emulator::State;

void State::moveMatrices(Lane **lanes, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  const uint32_t matrices = at.modifiers[0];
  const bool transposed = at.modifiers[1], load = at.kind == STEPDOWN_EMULATED_load_matrix;
  uint16_t *rows[32];
  for (uint32_t m = 0; m < matrices; ++m) {
    uint32_t banks = 0, conflicts = 0;
    for (uint32_t r = 0; r < 8; ++r) {
      Lane &lane = *lanes[m * 8 + r];
      const uint64_t address = lane.frame[at.results];
      uint32_t offset;
      Block *block = sharedBlock(address, offset);
      if (!block)
        return report(STEPDOWN_REPORT_bounds, &lane, number, "expects rows in shared memory");
      if (!touch(reinterpret_cast<void *>(address), 16, laneAccess(lane, number, !load), &lane, 16))
        return;
      const uint32_t bank = 1u << (offset / 16 % 8);
      conflicts += (banks & bank) != 0;
      banks |= bank;
      rows[m * 8 + r] = reinterpret_cast<uint16_t *>(address);
    }
    ++statistics.sharedAccesses;
    statistics.bankConflicts += conflicts;
  }
  for (uint32_t l = 0; l < warpLanes; ++l)
    for (uint32_t m = 0; m < matrices; ++m)
      for (uint32_t h = 0; h < 2; ++h) {
        const uint32_t row = transposed ? l % 4 * 2 + h : l / 4, column = transposed ? l / 4 : l % 4 * 2 + h;
        uint16_t &shared = rows[m * 8 + row][column];
        auto *value = reinterpret_cast<uint16_t *>(lanes[l]->frame + (load ? m : at.results + 1 + m)) + h;
        if (load)
          *value = shared;
        else
          shared = *value;
      }
}

void State::multiplyWarp(Lane **lanes, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  const uint32_t k = at.modifiers[0];
  const auto sumType = ElementType(at.modifiers[1]);
  const auto types = {ElementType(at.modifiers[2]), ElementType(at.modifiers[3])};
  const uint32_t bytes = elementBytes(*types.begin());
  const uint32_t slotsA = 16 * k * bytes / 128, slotsB = 8 * k * bytes / 128;
  std::vector<float> a(16 * k), b(k * 8), sums(16 * 8);
  for (uint32_t l = 0; l < warpLanes; ++l) {
    const uint64_t *frame = lanes[l]->frame + at.results;
    for (uint32_t v = 0; v < slotsA * 4 / bytes; ++v) {
      const Place place = placeA(l, v, bytes);
      const auto *from = reinterpret_cast<const uint8_t *>(frame + v * bytes / 4) + v * bytes % 4;
      toFloats(*types.begin(), from, 1, &a[place.row * k + place.column]);
    }
    for (uint32_t v = 0; v < slotsB * 4 / bytes; ++v) {
      const Place place = placeB(l, v, bytes);
      const auto *from = reinterpret_cast<const uint8_t *>(frame + slotsA + v * bytes / 4) + v * bytes % 4;
      toFloats(*(types.begin() + 1), from, 1, &b[place.column * 8 + place.row]);
    }
    for (uint32_t v = 0; v < 4; ++v) {
      const Place place = placeC(l, v);
      std::memcpy(&sums[place.row * 8 + place.column], frame + slotsA + slotsB + v, 4);
    }
  }
  (sumType == ElementType::S32 ? multiplyIntegers : multiply)(sums.data(), a.data(), b.data(), 16, 8, k);
  statistics.multiplyAdds += 16 * 8 * k;
  for (uint32_t l = 0; l < warpLanes; ++l)
    for (uint32_t v = 0; v < 4; ++v) {
      const Place place = placeC(l, v);
      std::memcpy(lanes[l]->frame + v, &sums[place.row * 8 + place.column], 4);
    }
}

namespace {

/// Calls `chunk(offset, row, column)` for each 16 bytes of an operand of `rows` rows and `k` elements of `bytes` bytes:
/// offset in shared memory, and the first element's row and depth.
template <typename F>
void eachChunk(const MatrixDescriptor &descriptor, bool alongMN, uint32_t rows, uint32_t k, uint32_t bytes, F &&chunk) {
  const uint32_t elements = 16 / bytes;
  if (alongMN) {
    for (uint32_t depth = 0; depth < k; ++depth)
      for (uint32_t row = 0; row < rows; row += elements)
        chunk(descriptor.alongMN(depth, row * bytes), row, depth);
  } else {
    for (uint32_t row = 0; row < rows; ++row)
      for (uint32_t depth = 0; depth < k; depth += elements)
        chunk(descriptor.alongK(row, depth * bytes), row, depth);
  }
}

} // namespace

void State::issueProduct(Block &block, WarpGroup &group, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  Lane *lanes = &block.lanes[group.first];
  const uint32_t n = at.modifiers[0], k = at.modifiers[1], slotsA = at.modifiers[5], sums = at.modifiers[7];
  const auto sumType = ElementType(at.modifiers[2]), typeA = ElementType(at.modifiers[3]),
             typeB = ElementType(at.modifiers[4]);
  const uint32_t bytes = elementBytes(typeA), argumentA = at.results + sums,
                 argumentB = argumentA + (slotsA ? slotsA : 1);
  if ((sumType != ElementType::F32 && sumType != ElementType::S32) || sums != n / 2 || k * bytes != 32 ||
      elementBytes(typeB) != bytes || (slotsA && slotsA != 4))
    return report(STEPDOWN_REPORT_operand, lanes, number, "expects accumulators of 32 bits and 32 bytes along k");
  Product product;
  product.operation = number;
  product.a = lanes[0].frame[argumentA];
  product.b = lanes[0].frame[argumentB];
  product.add = uint32_t(lanes[0].frame[argumentB + 1]) != 0;
  product.groupNumber = group.committed + 1;
  for (uint32_t l = 1; l < groupLanes; ++l)
    if (lanes[l].frame[argumentB] != product.b || (!slotsA && lanes[l].frame[argumentA] != product.a) ||
        (uint32_t(lanes[l].frame[argumentB + 1]) != 0) != product.add)
      return report(STEPDOWN_REPORT_operand, &lanes[l], number,
                    "expects the same descriptors and scale in all threads of the warpgroup");
  // What all of the warpgroup's lanes know.
  uint64_t version = 1;
  for (uint32_t l = 0; l < groupLanes; ++l)
    version += lanes[l].view.plain.version() + lanes[l].view.fenced.version();
  if (group.version != version) {
    group.version = version;
    group.view = lanes[0].view;
    for (uint32_t l = 1; l < groupLanes; ++l) {
      group.view.plain.meet(lanes[l].view.plain);
      group.view.fenced.meet(lanes[l].view.fenced);
    }
  }
  Access access = {};
  access.epoch = {product.groupNumber, Agent(group.agent + 1)};
  access.view = &group.view;
  access.operation = number;
  access.cluster = clusterSerial;
  access.asynchronous = true;
  auto checkOperand = [&](uint64_t bits, bool alongMN, uint32_t rows) {
    const MatrixDescriptor descriptor = MatrixDescriptor::decode(bits);
    if (descriptor.baseOffset || (alongMN && (descriptor.mode == 0 || bytes != 2)))
      return report(
          STEPDOWN_REPORT_operand, lanes, number,
          "expects a descriptor without base offset, and a swizzle and 16-bit elements where it lies along m or n");
    eachChunk(descriptor, alongMN, rows, k, bytes, [&](uint32_t offset, uint32_t, uint32_t) {
      if (!failed)
        touchShared(block, offset, 16, access, lanes);
    });
  };
  if (!slotsA)
    checkOperand(product.a, at.modifiers[6] & 1, 64);
  if (!failed)
    checkOperand(product.b, at.modifiers[6] & 2, n);
  if (failed)
    return;
  // Accumulators: those of a chain that goes on, or registers.
  const uint32_t token = uint32_t(lanes[0].frame[at.results] >> 32);
  bool chain = token && token <= group.finished.size();
  for (uint32_t l = 0; l < groupLanes && chain; ++l) {
    const uint64_t *values = lanes[l].frame + at.results;
    uint64_t differences = 0;
    for (uint32_t i = 0; i < sums; ++i)
      differences |= values[i] ^ (uint64_t(token) << 32 | i);
    chain = differences == 0;
  }
  if (chain)
    chain = group.accumulators[group.finished[token - 1].accumulator].latest == token &&
            group.accumulators[group.finished[token - 1].accumulator].n == n;
  if ((!chain && !group.fenced) || (slotsA && (!group.fencedOperands || (at.modifiers[6] & 16))))
    return report(STEPDOWN_REPORT_registers, lanes, number,
                  "expects wgmma.fence between the last use of its registers and this product");
  if (chain) {
    product.accumulator = group.finished[token - 1].accumulator;
  } else {
    product.accumulator = uint32_t(group.accumulators.size());
    Accumulator &made = group.accumulators.emplace_back();
    made.n = n;
    made.sums.assign(64 * n, 0.0f);
    for (uint32_t l = 0; l < groupLanes && product.add; ++l) // otherwise what they hold is not read
      for (uint32_t i = 0; i < sums; ++i) {
        uint64_t value = lanes[l].frame[at.results + i];
        if (value >> 32)
          value = resolveRegister(lanes[l], number, value);
        if (failed)
          return;
        const Place place = placeC(l, i);
        std::memcpy(&made.sums[place.row * n + place.column], &value, 4);
      }
  }
  for (uint32_t l = 0; l < groupLanes && slotsA; ++l)
    for (uint32_t i = 0; i < slotsA; ++i)
      product.registersA.push_back(uint32_t(lanes[l].frame[argumentA + i]));
  product.token = uint32_t(group.finished.size() + 1);
  group.accumulators[product.accumulator].latest = product.token;
  for (uint32_t l = 0; l < groupLanes; ++l)
    for (uint32_t i = 0; i < sums; ++i)
      lanes[l].frame[i] = uint64_t(product.token) << 32 | i;
  Product kept;
  kept.operation = number;
  kept.token = product.token;
  kept.groupNumber = product.groupNumber;
  kept.accumulator = product.accumulator;
  group.finished.push_back(kept);
  group.pending.push_back(std::move(product));
}

void State::execute(Block &block, WarpGroup &group, Product &product) {
  const stepdown_emulated_operation &at = operation(product.operation);
  const uint32_t n = at.modifiers[0], k = at.modifiers[1];
  const auto sumType = ElementType(at.modifiers[2]), typeA = ElementType(at.modifiers[3]),
             typeB = ElementType(at.modifiers[4]);
  const uint32_t bytes = elementBytes(typeA), elements = 16 / bytes;
  float a[64 * 32], b[32 * 256], line[16];
  if (product.registersA.empty()) {
    const bool alongMN = at.modifiers[6] & 1;
    eachChunk(MatrixDescriptor::decode(product.a), alongMN, 64, k, bytes,
              [&](uint32_t offset, uint32_t row, uint32_t depth) {
                toFloats(typeA, block.shared + offset, elements, line);
                for (uint32_t i = 0; i < elements; ++i)
                  a[alongMN ? (row + i) * k + depth : row * k + depth + i] = line[i];
              });
  } else {
    for (uint32_t l = 0; l < groupLanes; ++l)
      for (uint32_t v = 0; v < 4 * 4 / bytes; ++v) {
        const Place place = placeA(l, v, bytes);
        toFloats(typeA, reinterpret_cast<const uint8_t *>(&product.registersA[l * 4]) + v * bytes, 1,
                 &a[place.row * k + place.column]);
      }
  }
  const bool alongMN = at.modifiers[6] & 2;
  eachChunk(MatrixDescriptor::decode(product.b), alongMN, n, k, bytes,
            [&](uint32_t offset, uint32_t row, uint32_t depth) {
              toFloats(typeB, block.shared + offset, elements, line);
              for (uint32_t i = 0; i < elements; ++i)
                b[alongMN ? depth * n + row + i : (depth + i) * n + row] = line[i];
            });
  if (at.modifiers[6] & 4 || at.modifiers[6] & 8) {
    const bool both = (at.modifiers[6] & 4) && (at.modifiers[6] & 8);
    for (uint32_t i = 0; i < 64 * k && !both; ++i)
      a[i] = -a[i];
  }
  Accumulator &to = group.accumulators[product.accumulator];
  if (!product.add)
    to.sums.assign(64 * n, 0.0f);
  if ((typeA == ElementType::E4M3 || typeA == ElementType::E5M2) && options.fp8SumBits < 24)
    multiplyNarrow(to.sums.data(), a, b, 64, n, k, options.fp8SumBits);
  else
    (sumType == ElementType::S32 ? multiplyIntegers : multiply)(to.sums.data(), a, b, 64, n, k);
  statistics.multiplyAdds += 64ull * n * k;
  group.finished[product.token - 1].done = true;
}

void State::completeProducts(Block &block, WarpGroup &group, uint32_t upTo) {
  while (!group.pending.empty() && group.pending.front().groupNumber <= upTo) {
    execute(block, group, group.pending.front());
    group.pending.pop_front();
  }
}

uint32_t State::resolveRegister(Lane &lane, uint32_t number, uint64_t value) {
  const uint32_t token = uint32_t(value >> 32);
  if (!token)
    return uint32_t(value);
  WarpGroup &group = lane.block->groups[lane.thread / groupLanes];
  const Product &product = group.finished[token - 1];
  const Accumulator &from = group.accumulators[product.accumulator];
  if (lane.view.plain.at(group.agent) < product.groupNumber || !product.done) {
    report(STEPDOWN_REPORT_registers, &lane, number, "uses an accumulator of %s, which has not been waited for",
           where(product.operation).c_str());
    return 0;
  }
  if (from.latest != token) {
    report(STEPDOWN_REPORT_registers, &lane, number, "uses an accumulator of %s after %s has taken it over",
           where(product.operation).c_str(), where(group.finished[from.latest - 1].operation).c_str());
    return 0;
  }
  group.fenced = false;
  const Place place = placeC(lane.thread % groupLanes, uint32_t(value));
  uint32_t bits;
  std::memcpy(&bits, &from.sums[place.row * from.n + place.column], 4);
  return bits;
}

void State::performGroup(Block &block, WarpGroup &group, uint32_t number) {
  const stepdown_emulated_operation &at = operation(number);
  Lane *lanes = &block.lanes[group.first];
  bool go = true;
  switch (at.kind) {
  case STEPDOWN_EMULATED_wgmma_fence:
    group.fenced = group.fencedOperands = true;
    break;
  case STEPDOWN_EMULATED_wgmma:
    issueProduct(block, group, number);
    break;
  case STEPDOWN_EMULATED_wgmma_commit:
    ++group.committed;
    group.fencedOperands = false;
    break;
  case STEPDOWN_EMULATED_wgmma_wait: {
    const uint32_t left = at.modifiers[0] >= 0 ? at.modifiers[0] : uint32_t(lanes->frame[at.results]);
    const uint32_t upTo = group.committed > left ? group.committed - left : 0;
    completeProducts(block, group, upTo);
    group.completed = std::max(group.completed, upTo);
    for (uint32_t l = 0; l < groupLanes; ++l)
      lanes[l].view.plain[group.agent] = group.completed;
    break;
  }
  default: {
    const uint32_t wanted = uint32_t(lanes->frame[at.results]);
    const bool less = at.kind == STEPDOWN_EMULATED_registers_less;
    if (wanted < 24 || wanted > 256 || wanted % 8 || (less ? wanted > group.registers : wanted < group.registers))
      return report(STEPDOWN_REPORT_operand, lanes, number,
                    "expects a multiple of 8 from 24 to 256 that is %s the %u that a thread has, but got %u",
                    less ? "at most" : "at least", group.registers, wanted);
    if (less) {
      block.registerPool += (group.registers - wanted) * groupLanes;
      group.registers = wanted;
    } else if ((wanted - group.registers) * groupLanes <= block.registerPool) {
      block.registerPool -= (wanted - group.registers) * groupLanes;
      group.registers = wanted;
    } else {
      go = false;
    }
  }
  }
  for (uint32_t l = 0; l < groupLanes; ++l)
    lanes[l].waiting = go ? Waiting::Nothing : Waiting::Registers;
  if (at.kind == STEPDOWN_EMULATED_registers_less)
    for (WarpGroup &other : block.groups)
      if (block.lanes[other.first].waiting == Waiting::Registers)
        performGroup(block, other, block.lanes[other.first].operation);
}

} // namespace stepdown::emulated
