// Conversions between layouts: the steps are run here on the numbers of the elements, over registers, lanes, warps and
// bytes of shared memory, and must leave every element where the second layout says.
#include "lib/Layout/Relayout.h"
#include "lib/Layout/AmdLayouts.h"
#include "lib/Layout/NvidiaLayouts.h"
#include <gtest/gtest.h>
#include <map>
#include <random>

using namespace stepdown;

namespace {

using Point = std::vector<int64_t>;
using Kind = RelayoutStep::Kind;

/// Values of a map at register, lane and warp, whichever of them it has.
Point at(const LinearLayout &map, int64_t reg, int64_t lane, int64_t warp) {
  Point from;
  for (const LayoutInput &input : map.inputs())
    from.push_back(input.name == "register" ? reg : input.name == "lane" ? lane : warp);
  return map.apply(from);
}

void expectArrives(const LinearLayout &from, const LinearLayout &to, const Relayout &plan) {
  const int64_t lanes = std::max(from.inputSize("lane"), to.inputSize("lane"));
  const int64_t warps = std::max(from.inputSize("warp"), to.inputSize("warp"));
  std::map<Point, Point> held; // register, lane, warp -> row, column
  for (int64_t r = 0; r < from.inputSize("register"); ++r)
    for (int64_t l = 0; l < lanes; ++l)
      for (int64_t w = 0; w < warps; ++w)
        held[{r, l, w}] = at(from, r, l, w);
  std::map<int64_t, Point> memory;
  for (const RelayoutStep &step : plan.steps) {
    std::map<Point, Point> next;
    const int64_t registers = step.map.inputSize("register");
    for (int64_t r = 0; r < registers; ++r)
      for (int64_t l = 0; l < lanes; ++l)
        for (int64_t w = 0; w < warps && step.kind != Kind::Barrier; ++w) {
          const int64_t value = at(step.map, r, l, w)[0];
          if (step.kind == Kind::Registers)
            next[{r, l, w}] = held.at({value, l, w});
          else if (step.kind == Kind::Shuffle)
            next[{r, l, w}] = held.at({r, value, w});
          else if (step.kind == Kind::Load)
            next[{r, l, w}] = memory.at(value);
          else if (!memory.count(value))
            memory[value] = held.at({r, l, w});
          else
            ASSERT_EQ(memory[value], held.at({r, l, w})) << "two elements in one place";
        }
    if (step.kind != Kind::Store && step.kind != Kind::Barrier)
      held = std::move(next);
  }
  for (int64_t r = 0; r < to.inputSize("register"); ++r)
    for (int64_t l = 0; l < lanes; ++l)
      for (int64_t w = 0; w < warps; ++w)
        ASSERT_EQ(held.at({r, l, w}), at(to, r, l, w)) << from.str() << "\n" << to.str() << "\n" << plan.str();
}

std::optional<Relayout> planned(const LinearLayout &from, const LinearLayout &to, int bits) {
  std::optional<Relayout> plan = relayout(from, to, bits);
  EXPECT_TRUE(plan) << from.str() << "\n" << to.str();
  if (plan)
    expectArrives(from, to, *plan);
  return plan;
}

/// What attention does: the accumulator of Q K in bf16 is the A operand of P V as it lies, for every width of block.
TEST(Relayout, AccumulatorsAreOperands) {
  for (int n : {16, 80, 128, 176}) {
    const LinearLayout operand = nvidia::wgmmaA(16).repeated("register", n / 16, "column", 16);
    EXPECT_EQ(operand, nvidia::wgmmaAccumulator(n)) << n;
    std::optional<Relayout> plan = planned(nvidia::wgmmaAccumulator(n), operand, 16);
    EXPECT_EQ(plan->str(), "nothing: 0");
  }
  // In 8 bits it is not: lanes of a quad exchange.
  const LinearLayout operand = nvidia::wgmmaA(8).repeated("register", 2, "column", 32);
  EXPECT_GT(planned(nvidia::wgmmaAccumulator(64), operand, 8)->cost, 0);
}

TEST(Relayout, TransposesThroughWhatIsCheapest) {
  const LinearLayout rows = LinearLayout::of("register[8:column] lane[32:row] -> row[32] column[8]");
  const LinearLayout renamed = LinearLayout::of("register[2:4*column 4:column] lane[32:row] -> row[32] column[8]");
  EXPECT_EQ(planned(rows, renamed, 32)->str(), "registers 0: 0");
  const LinearLayout spread = LinearLayout::of("register[8:row] lane[8:column 4:8*row] -> row[32] column[8]");
  std::optional<Relayout> plan = planned(rows, spread, 32);
  EXPECT_EQ(plan->steps.size(), 3u) << plan->str(); // select, shuffle, select
  const LinearLayout warps = LinearLayout::of("register[4:column] lane[32:row] warp[4:4*column] -> row[32] column[16]");
  const LinearLayout others =
      LinearLayout::of("register[4:column] lane[4:4*column 8:row] warp[4:8*row] -> row[32] column[16]");
  plan = planned(warps, others, 32);
  ASSERT_EQ(plan->steps.size(), 3u);
  EXPECT_EQ(plan->steps[1].kind, Kind::Barrier);
  EXPECT_EQ(sharedAccess(plan->steps[0].map, 4, plan->steps[0].accessBytes)->ways, 1) << plan->steps[0].map.str();
}

TEST(Relayout, Broadcasts) {
  const LinearLayout once = LinearLayout::of("register[8:column] lane[16:row 2:8*column] -> row[16] column[16]");
  planned(once, amd::wmmaOperandGfx11(), 16);
  planned(amd::wmmaOperandGfx11(), once, 16);
  planned(amd::mfmaAccumulator(32), amd::mfmaOperand(32, 32), 16);
  planned(nvidia::mmaC(), LinearLayout::of("register[8:column] lane[16:row 2:0] -> row[16] column[8]"), 32);
}

/// The bits of a tile of 4 x 2^n elements dealt to registers, lanes and warps in any order, some of them mixed.
TEST(Relayout, RandomLayoutsArrive) {
  std::mt19937 random(7);
  auto below = [&](size_t n) { return random() % n; };
  auto made = [&](int rowBits, int columnBits, int registers, int lanes, bool mixes) {
    std::vector<Point> steps;
    for (int b = 0; b < rowBits; ++b)
      steps.push_back({1 << b, 0});
    for (int b = 0; b < columnBits; ++b)
      steps.push_back({0, 1 << b});
    std::shuffle(steps.begin(), steps.end(), random);
    for (int n = mixes ? 9 : 0; n > 0; --n) {
      const size_t a = below(steps.size()), b = below(steps.size());
      for (size_t o = 0; a != b && o < 2; ++o)
        steps[a][o] ^= steps[b][o];
    }
    std::vector<LayoutInput> inputs = {{"register", {}}, {"lane", {}}, {"warp", {}}};
    for (int b = 0; b < rowBits + columnBits; ++b)
      inputs[b < registers ? 0 : b < registers + lanes ? 1 : 2].digits.push_back({2, steps[b], mixes});
    LinearLayout layout(inputs, {{"row", 1 << rowBits}, {"column", 1 << columnBits}});
    return below(3) ? layout : layout.repeated("register", 11, "column", 1 << columnBits);
  };
  int shuffles = 0, shared = 0;
  for (int n = 0; n < 400; ++n) {
    const int registers = 1 + static_cast<int>(below(3));
    const bool oneWarp = below(2);
    const LinearLayout from = made(4, oneWarp ? registers : registers + 1, registers, 4, below(2));
    LinearLayout to = made(4, oneWarp ? registers : registers + 1, registers, 4, below(2));
    if (from.outputs() != to.outputs())
      continue;
    std::optional<Relayout> plan = planned(from, to, 8 << below(3));
    if (!plan)
      continue;
    for (const RelayoutStep &step : plan->steps) {
      shuffles += step.kind == Kind::Shuffle;
      shared += step.kind == Kind::Barrier;
    }
  }
  EXPECT_GT(shuffles, 20);
  EXPECT_GT(shared, 20);
}

TEST(Relayout, RefusesOtherTiles) { EXPECT_FALSE(relayout(nvidia::mmaC(), nvidia::mmaB(16, 16), 16)); }

} // namespace
