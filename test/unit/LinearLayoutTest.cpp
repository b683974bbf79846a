// The laws of layouts on random ones: their function is evaluated by an independent walk over digits here, and compared
// with what composition, product, inverses, text and normal form make of it. Then the same by hand on a few.
#include "lib/Layout/LinearLayout.h"
#include <algorithm>
#include <gtest/gtest.h>
#include <random>

using namespace stepdown;

namespace {

using Values = std::vector<int64_t>;

/// What inputs and outputs mean before any normal form: digits as they were written.
struct Written {
  std::vector<LayoutInput> inputs;
  std::vector<LayoutOutput> outputs;

  LinearLayout layout() const { return LinearLayout(inputs, outputs); }
  Values apply(Values at) const {
    Values flipped(outputs.size(), 0), sum(outputs.size(), 0);
    for (size_t i = 0; i < inputs.size(); ++i)
      for (const LayoutDigit &digit : inputs[i].digits) {
        for (int64_t k = at[i] % digit.size; k > 0; --k)
          for (size_t o = 0; o < outputs.size(); ++o)
            digit.flips ? flipped[o] ^= digit.step[o] : sum[o] += digit.step[o];
        at[i] /= digit.size;
      }
    for (size_t o = 0; o < outputs.size(); ++o)
      sum[o] += flipped[o];
    return sum;
  }
};

class Maker {
public:
  explicit Maker(uint64_t seed) : random(seed) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); }

  /// Digits of the outputs dealt to the inputs in any order, so that every point is hit once; the low bits of every
  /// output mixed by a random invertible matrix. `flips`: whether any are.
  Written bijection(const std::vector<std::string> &inputs, const std::vector<std::string> &outputs,
                    bool flips = true) {
    Written made;
    std::vector<LayoutDigit> digits;
    std::vector<std::pair<size_t, int>> bits; // output, bit
    for (size_t o = 0; o < outputs.size(); ++o) {
      int64_t size = 1;
      for (int n = static_cast<int>(below(4)); n > 0; --n, size *= 2)
        bits.push_back({o, __builtin_ctzll(static_cast<uint64_t>(size))});
      static const int64_t sizes[] = {2, 3, 5, 4, 11};
      for (int n = static_cast<int>(below(3)); n > 0; --n) {
        LayoutDigit digit{sizes[below(5)], Values(outputs.size(), 0), false};
        digit.step[o] = size;
        size *= digit.size;
        digits.push_back(digit);
      }
      made.outputs.push_back({outputs[o], size});
    }
    std::vector<Values> steps;
    for (auto [o, bit] : bits) {
      steps.push_back(Values(outputs.size(), 0));
      steps.back()[o] = int64_t(1) << bit;
    }
    const bool mixes = flips && below(4);
    for (int n = mixes ? 12 : 0; n > 0 && steps.size() > 1; --n) {
      const size_t a = below(steps.size()), b = below(steps.size());
      for (size_t o = 0; a != b && o < outputs.size(); ++o)
        steps[a][o] ^= steps[b][o];
    }
    for (Values &step : steps)
      digits.push_back({2, step, mixes});
    std::shuffle(digits.begin(), digits.end(), random);
    for (const std::string &name : inputs)
      made.inputs.push_back({name, {}});
    for (LayoutDigit &digit : digits)
      made.inputs[below(inputs.size())].digits.push_back(digit);
    return made;
  }

  /// Some digit anywhere that changes nothing.
  void broadcast(Written &made) {
    auto &digits = made.inputs[below(made.inputs.size())].digits;
    digits.insert(digits.begin() + below(digits.size() + 1), {2 + below(3), Values(made.outputs.size(), 0), false});
  }

  Values point(const std::vector<LayoutInput> &inputs) {
    Values at;
    for (const LayoutInput &input : inputs)
      at.push_back(below(input.size()));
    return at;
  }

  std::mt19937_64 random;
};

constexpr int kLayouts = 100000;
const std::vector<std::string> kIn = {"register", "lane", "warp"}, kOut = {"row", "column"};

TEST(LinearLayout, NormalFormAndTextKeepTheFunction) {
  Maker maker(1);
  for (int n = 0; n < kLayouts; ++n) {
    Written made = maker.bijection(kIn, kOut);
    if (n % 3 == 0)
      maker.broadcast(made);
    const LinearLayout layout = made.layout();
    ASSERT_EQ(layout.problem(), "");
    const Values at = maker.point(made.inputs);
    ASSERT_EQ(layout.apply(at), made.apply(at)) << layout.str();
    std::string why;
    std::optional<LinearLayout> read = LinearLayout::parse(layout.str(), &why);
    ASSERT_TRUE(read) << layout.str() << why;
    ASSERT_EQ(*read, layout);
    // Digits cut in two are the same layout.
    for (LayoutInput &input : made.inputs)
      for (size_t d = 0; d < input.digits.size(); ++d)
        if (input.digits[d].size == 4) {
          LayoutDigit high = input.digits[d];
          for (int64_t &step : high.step)
            step *= 2;
          input.digits[d].size = high.size = 2;
          input.digits.insert(input.digits.begin() + ++d, high);
        }
    ASSERT_EQ(made.layout(), layout);
  }
}

TEST(LinearLayout, InversesUndo) {
  Maker maker(2);
  int inverted = 0, twice = 0;
  for (int n = 0; n < kLayouts; ++n) {
    Written made = maker.bijection(kIn, kOut);
    const LinearLayout layout = made.layout();
    std::optional<LinearLayout> left = leftInverse(layout), right = rightInverse(layout);
    if (!left) {
      ASSERT_FALSE(right) << layout.str();
      continue; // flipping bits behind an odd digit of an input
    }
    ++inverted;
    ASSERT_TRUE(right);
    ASSERT_EQ(*left, *right) << layout.str();
    const Values at = maker.point(made.inputs);
    ASSERT_EQ(left->apply(made.apply(at)), at) << layout.str() << "\n" << left->str();
    std::optional<LinearLayout> back = leftInverse(*left);
    if (!back)
      continue; // what flipped a low bit now flips one behind an odd digit
    ++twice;
    ASSERT_EQ(*back, layout);
  }
  EXPECT_GT(twice, kLayouts * 3 / 5);
  EXPECT_GT(inverted, kLayouts * 4 / 5);
}

TEST(LinearLayout, PartialInverses) {
  Maker maker(3);
  int lefts = 0, rights = 0;
  for (int n = 0; n < kLayouts; ++n) {
    // More outputs than are hit: a left inverse. Inputs that change nothing: a right one.
    Written made = maker.bijection(kIn, kOut);
    Written wide = made;
    for (LayoutInput &input : wide.inputs)
      if (!input.digits.empty() && maker.below(2))
        input.digits.erase(input.digits.begin() + maker.below(input.digits.size()));
    if (std::optional<LinearLayout> left = leftInverse(wide.layout())) {
      ++lefts;
      const Values at = maker.point(wide.inputs);
      ASSERT_EQ(left->apply(wide.apply(at)), at) << wide.layout().str() << "\n" << left->str();
    }
    maker.broadcast(made);
    ASSERT_FALSE(leftInverse(made.layout()));
    if (std::optional<LinearLayout> right = rightInverse(made.layout())) {
      ++rights;
      Values at;
      for (const LayoutOutput &output : made.outputs)
        at.push_back(maker.below(output.size));
      ASSERT_EQ(made.apply(right->apply(at)), at) << made.layout().str() << "\n" << right->str();
    }
  }
  EXPECT_GT(lefts, kLayouts / 2);
  EXPECT_GT(rights, kLayouts / 2);
}

TEST(LinearLayout, CompositionIsApplicationTwice) {
  Maker maker(4);
  int composed = 0, associated = 0;
  for (int n = 0; n < kLayouts; ++n) {
    const Written outer = maker.bijection(kOut, {"offset"});
    // The inner one's outputs: the outer's inputs, cut as they are or otherwise.
    Written inner;
    for (const LayoutInput &input : outer.inputs)
      inner.outputs.push_back({input.name, input.size()});
    for (const std::string &name : kIn)
      inner.inputs.push_back({name, {}});
    for (size_t o = 0; o < 2; ++o) {
      int64_t step = 1, rest = inner.outputs[o].size;
      while (rest > 1) {
        int64_t size = 2;
        while (rest % size)
          ++size;
        LayoutDigit digit{size, Values(2, 0), false};
        digit.step[o] = step;
        auto &digits = inner.inputs[maker.below(3)].digits;
        digits.insert(digits.begin() + maker.below(digits.size() + 1), digit);
        step *= size, rest /= size;
      }
    }
    const LinearLayout f = inner.layout(), g = outer.layout();
    std::optional<LinearLayout> both = compose(g, f);
    const Values at = maker.point(inner.inputs);
    const Values expected = outer.apply(inner.apply(at));
    if (!both)
      continue; // a prime that straddles a digit of the outer one
    ++composed;
    ASSERT_EQ(both->apply(at), expected) << f.str() << "\n" << g.str() << "\n" << both->str();
    // Identities are neutral, and three layouts associate.
    const LinearLayout h = LinearLayout::identity("offset", g.outputSize("offset"), "address");
    ASSERT_EQ(compose(h, g)->renamed("address", "offset"), g);
    std::optional<LinearLayout> inverse = leftInverse(f);
    if (!inverse)
      continue;
    if (std::optional<LinearLayout> undone = compose(*both, *inverse)) {
      ++associated;
      ASSERT_EQ(undone->restrictedTo(kOut), g.restrictedTo(kOut)) << f.str() << "\n" << g.str();
    }
  }
  EXPECT_GT(composed, kLayouts / 3);
  EXPECT_GT(associated, kLayouts / 4);
}

TEST(LinearLayout, ProductIsATileOfTiles) {
  Maker maker(5);
  int made = 0;
  for (int n = 0; n < kLayouts; ++n) {
    const Written a = maker.bijection(kIn, kOut), b = maker.bijection({"lane", "warp", "block"}, kOut);
    const LinearLayout fast = a.layout(), slow = b.layout();
    std::optional<LinearLayout> both = product(fast, slow);
    if (!both) {
      ASSERT_NE(slow.str().find('^'), std::string::npos);
      continue;
    }
    ++made;
    const Values at = maker.point(both->inputs()); // register lane warp block
    const int64_t lanes = fast.inputSize("lane"), warps = fast.inputSize("warp");
    const Values low = a.apply({at[0], at[1] % lanes, at[2] % warps}),
                 high = b.apply({at[1] / lanes, at[2] / warps, at[3]});
    const Values all = both->apply(at);
    for (size_t o = 0; o < 2; ++o)
      ASSERT_EQ(all[o], low[o] + fast.outputs()[o].size * high[o]);
    ASSERT_EQ(both->outputPoints(), fast.outputPoints() * slow.outputPoints());
  }
  EXPECT_GT(made, kLayouts / 4);
}

TEST(LinearLayout, PrintsOneForm) {
  const char *text =
      "register[2:column 2:8*row 22:8*column] lane[4:2*column 8:row] warp[4:16*row] -> row[64] column[176]";
  EXPECT_EQ(LinearLayout::of(text).str(), text);
  EXPECT_EQ(LinearLayout::of("register[2:column 2:8*row 2:8*column 11:16*column] lane[2^2*column 2:4*column 8:row] "
                             "warp[4:16*row] -> row[64] column[176]")
                .str(),
            text);
  const char *swizzle = "offset[16:offset 2^16*offset 2:32*offset 2^144*offset] -> offset[160]";
  EXPECT_EQ(
      LinearLayout::of("offset[16:offset 2^16*offset 2:32*offset 2^144*offset] -> offset[192]").outputSize("offset"),
      192);
  std::string why;
  EXPECT_FALSE(LinearLayout::parse(swizzle, &why));
  EXPECT_EQ(why, "expects offset below 160, but it reaches 191");
}

TEST(LinearLayout, SaysWhatIsWrongWithText) {
  auto why = [](const char *text) {
    std::string wrong;
    EXPECT_FALSE(LinearLayout::parse(text, &wrong)) << text;
    return wrong;
  };
  EXPECT_EQ(why("lane 4"), "expects '[', but got '4' at 5");
  EXPECT_EQ(why("lane[4:row"), "expects a number, but got the end at 10");
  EXPECT_EQ(why("lane[4*row] -> row[4]"), "expects ':', but got '*row] -> row' at 6");
  EXPECT_EQ(why("lane[4:line] -> row[4]"), "expects steps of outputs behind '->', but got line in lane");
  EXPECT_EQ(why("lane[4:row] lane[2:4*row] -> row[8]"), "expects inputs of different names, but got lane twice");
  EXPECT_EQ(why("lane[4^row] -> row[8]"), "expects digits of a positive size, xor bits of 2, but got 4 in lane");
  EXPECT_EQ(why("lane[4:row] -> row[3]"), "expects row below 3, but it reaches 3");
  EXPECT_EQ(why("lane[99999999999999999999:row] -> row[3]"),
            "expects a number of 63 bits, but got '999999999999' at 5");
}

TEST(LinearLayout, GlobalStridesComposeWithFragments) {
  const LinearLayout global = LinearLayout::of("row[16:200*offset] column[8:2*offset] -> offset[3200]");
  const LinearLayout fragment =
      LinearLayout::of("register[2:column 2:8*row] lane[4:2*column 8:row] -> row[16] column[8]");
  EXPECT_EQ(compose(global, fragment)->str(),
            "register[2:2*offset 2:1600*offset] lane[4:4*offset 8:200*offset] -> offset[3200]");
  EXPECT_EQ(fragment.repeated("register", 11, "column", 8).outputSize("column"), 88);
  EXPECT_EQ(fragment.restrictedTo({"lane"}).str(), "lane[4:2*column 8:row] -> row[16] column[8]");
  EXPECT_EQ(fragment.onto({"row"}).str(), "register[2:0 2:8*row] lane[4:0 8:row] -> row[16]");
}

} // namespace
