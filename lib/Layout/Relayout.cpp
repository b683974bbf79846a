// Finds steps and then runs them on the numbers of the elements: a plan that does not end where `to` says is none.
#include "lib/Layout/Relayout.h"
#include <algorithm>

namespace stepdown {
namespace {

const char *const kInputs[] = {"register", "lane", "warp"};

/// The layout with exactly the inputs register, lane, warp, in this order.
LinearLayout ordered(const LinearLayout &layout) {
  std::vector<LayoutInput> inputs;
  for (const char *name : kInputs) {
    inputs.push_back({name, {}});
    for (const LayoutInput &input : layout.inputs())
      if (input.name == name)
        inputs.back() = input;
  }
  return LinearLayout(std::move(inputs), layout.outputs());
}

/// Exactly these three as outputs, too.
LinearLayout pullOf(const LinearLayout &layout, const LinearLayout &from) {
  std::vector<LayoutOutput> outputs;
  for (const char *name : kInputs)
    outputs.push_back({name, from.inputSize(name)});
  std::vector<LayoutInput> inputs = layout.inputs();
  for (LayoutInput &input : inputs)
    for (LayoutDigit &digit : input.digits) {
      std::vector<int64_t> step(3, 0);
      for (size_t o = 0; o < layout.outputs().size(); ++o)
        for (size_t k = 0; k < 3; ++k)
          if (layout.outputs()[o].name == kInputs[k])
            step[k] = digit.step[o];
      digit.step = std::move(step);
    }
  return LinearLayout(std::move(inputs), std::move(outputs));
}

int rankOf(std::vector<int64_t> values) {
  int rank = 0;
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i]) {
      ++rank;
      const int64_t top = int64_t(1) << (63 - __builtin_clzll(static_cast<uint64_t>(values[i])));
      for (size_t j = 0; j < values.size(); ++j)
        if (j != i && values[j] & top)
          values[j] ^= values[i];
    }
  return rank;
}

/// Does input `name` appear in an output of these names?
bool moves(const LinearLayout &layout, const char *name) {
  for (const LayoutInput &input : layout.inputs())
    if (input.name == name)
      for (const LayoutDigit &digit : input.digits)
        if (std::any_of(digit.step.begin(), digit.step.end(), [](int64_t s) { return s != 0; }))
          return true;
  return false;
}

bool isIdentity(const LinearLayout &layout, const char *name) {
  const LinearLayout one = layout.onto({name});
  return one.restrictedTo({name}) == LinearLayout({{name, {{one.inputSize(name), {1}, false}}}}, one.outputs()) &&
         one == [&] {
           std::vector<LayoutInput> inputs;
           for (const LayoutInput &input : one.inputs())
             inputs.push_back({input.name, {{input.size(), {input.name == name ? 1 : 0}, false}}});
           return LinearLayout(std::move(inputs), one.outputs());
         }();
}

/// How many neighbours in a 32-bit register stay together in `map` (register lane ... -> register ...).
int64_t packed(const LinearLayout &pull, int elementBits) {
  int64_t together = 1;
  std::vector<int64_t> zero(pull.outputs().size(), 0), at(pull.inputs().size(), 0);
  while (together * 2 * elementBits <= 32 && pull.inputSize("register") % (together * 2) == 0) {
    at[0] = together;
    std::vector<int64_t> to = pull.apply(at);
    if (to[0] != together || std::any_of(to.begin() + 1, to.end(), [](int64_t v) { return v != 0; }))
      break;
    for (size_t i = 0; i < pull.inputs().size(); ++i) // nothing else may touch that bit
      for (int64_t weight = 1; weight < pull.inputs()[i].size(); weight *= 2)
        if (!(i == 0 && weight == together)) {
          std::vector<int64_t> other(pull.inputs().size(), 0);
          other[i] = weight;
          if (pull.apply(other)[0] & together)
            return together;
        }
    together *= 2;
  }
  return together;
}

class Planner {
public:
  Planner(const LinearLayout &from, const LinearLayout &to, int elementBits)
      : from(ordered(from)), to(ordered(to)), elementBits(elementBits) {}

  std::optional<Relayout> best() {
    std::optional<LinearLayout> inverse = rightInverse(from), composed;
    if (inverse)
      composed = compose(*inverse, to);
    std::optional<Relayout> chosen;
    if (composed) {
      const LinearLayout pull = pullOf(*composed, from);
      if (isIdentity(pull, "warp") && !moves(pull.onto({"register", "lane"}), "warp"))
        chosen = withinWarp(pull);
      if (chosen && chosen->cost == 0)
        return chosen;
    }
    std::optional<Relayout> exchange = throughShared();
    if (!chosen || (exchange && exchange->cost < chosen->cost))
      chosen = exchange;
    return chosen;
  }

private:
  LinearLayout from, to;
  int elementBits;

  static void add(Relayout &plan, RelayoutStep step) {
    plan.cost += step.cost;
    plan.steps.push_back(std::move(step));
  }

  /// Selecting registers: renaming is free unless it tears packed elements apart; each lane bit on which the choice
  /// depends is one select of every register.
  void addRegisters(Relayout &plan, const LinearLayout &map) const {
    const LinearLayout lanes = map.restrictedTo({"lane"});
    std::vector<int64_t> moved;
    for (int64_t bit = 1; bit < lanes.inputSize("lane"); bit *= 2)
      moved.push_back(lanes.apply({bit})[0]);
    const int64_t registers = map.inputSize("register"), words = std::max<int64_t>(registers * elementBits / 32, 1);
    const int64_t together = packed(map, elementBits), whole = std::max(32 / elementBits, 1);
    int64_t cost = rankOf(moved) * registers / together;
    if (together < whole && registers > 1 && cost == 0)
      cost = words; // one byte permutation a word
    if (!isIdentity(map, "register"))
      add(plan, {RelayoutStep::Kind::Registers, map, cost, 0});
  }

  std::optional<Relayout> withinWarp(const LinearLayout &whole) const {
    const LinearLayout pull = whole.restrictedTo({"register", "lane"}).onto({"register", "lane"});
    const int64_t registers = pull.inputSize("register"), lanes = pull.inputSize("lane");
    Relayout plan;
    if (isIdentity(pull, "lane")) {
      addRegisters(plan, pull.onto({"register"}));
      return plan;
    }
    // G: the lanes that Q leaves in the span of the others take a register bit that leaves it.
    auto laneAt = [&](int64_t reg, int64_t lane) { return pull.apply({reg, lane})[1]; };
    std::vector<int64_t> laneBits, spanned;
    std::vector<int64_t> given; // [lane bits]: the register bit, or 0
    for (int64_t bit = 1; bit < lanes; bit *= 2)
      laneBits.push_back(bit), given.push_back(0);
    auto independent = [&](int64_t value) {
      std::vector<int64_t> all = spanned;
      all.push_back(value);
      return rankOf(all) == static_cast<int>(all.size());
    };
    std::vector<size_t> dependent;
    for (size_t j = 0; j < laneBits.size(); ++j)
      if (int64_t column = laneAt(0, laneBits[j]); independent(column))
        spanned.push_back(column);
      else
        dependent.push_back(j);
    for (size_t j : dependent)
      for (int64_t bit = 1; bit < registers && registers % (2 * bit) == 0; bit *= 2)
        if (int64_t column = laneAt(bit, 0) ^ laneAt(0, laneBits[j]); independent(column)) {
          given[j] = bit;
          spanned.push_back(column);
          break;
        }
    std::vector<LayoutDigit> registerDigits, laneDigits;
    int64_t low = 1;
    for (; low < registers && registers % (2 * low) == 0; low *= 2)
      registerDigits.push_back({2, {low, 0}, true});
    registerDigits.push_back({registers / low, {low, 0}, false});
    for (size_t j = 0; j < laneBits.size(); ++j)
      laneDigits.push_back({2, {given[j], laneBits[j]}, true});
    // (round, lane) -> (register, lane) that it gives; its own inverse.
    const LinearLayout given2({{"register", registerDigits}, {"lane", laneDigits}},
                              {{"register", registers}, {"lane", lanes}});
    std::optional<LinearLayout> taken = compose(pull, given2);
    if (!taken)
      return std::nullopt;
    const LinearLayout reads = taken->onto({"lane"}), offers = taken->onto({"register"});
    LinearLayout offered = offers;
    if (moves(offers.restrictedTo({"lane"}), "lane")) { // by the lane that offers, no longer by the one that asks
      const LinearLayout asked({{"register", {{registers, {1, 0}, false}}}, {"lane", {}}},
                               {{"register", registers}, {"lane", lanes}});
      std::vector<LayoutInput> inputs = reads.inputs();
      for (LayoutInput &input : inputs)
        for (LayoutDigit &digit : input.digits)
          digit.step.insert(digit.step.begin(), 0);
      int64_t weight = 1;
      for (LayoutDigit &digit : inputs[0].digits)
        digit.step[0] = weight, weight *= digit.size;
      const LinearLayout both(inputs, {{"register", registers}, {"lane", lanes}});
      std::optional<LinearLayout> back = rightInverse(both);
      std::optional<LinearLayout> byOffer = back ? compose(offers, *back) : std::nullopt;
      if (!byOffer)
        return std::nullopt;
      offered = *byOffer;
    }
    addRegisters(plan, offered);
    const int64_t together = packed(pull, elementBits);
    add(plan, {RelayoutStep::Kind::Shuffle, reads, 2 * std::max<int64_t>(registers / together, 1), 0});
    addRegisters(plan, given2.onto({"register"}));
    return arrives(plan, pull) ? std::optional<Relayout>(plan) : std::nullopt;
  }

  /// Runs the steps on where each element came from.
  static bool arrives(const Relayout &plan, const LinearLayout &pull) {
    const int64_t registers = pull.inputSize("register"), lanes = pull.inputSize("lane");
    const int64_t sources = std::max(pull.outputSize("register"), registers);
    std::vector<std::pair<int64_t, int64_t>> held(sources * lanes);
    for (int64_t r = 0; r < sources; ++r)
      for (int64_t l = 0; l < lanes; ++l)
        held[r * lanes + l] = {r, l};
    for (const RelayoutStep &step : plan.steps) {
      std::vector<std::pair<int64_t, int64_t>> next(held.size(), {-1, -1});
      for (int64_t r = 0; r < step.map.inputSize("register"); ++r)
        for (int64_t l = 0; l < lanes; ++l) {
          const int64_t from = step.map.apply({r, l})[0];
          next[r * lanes + l] =
              step.kind == RelayoutStep::Kind::Shuffle ? held[r * lanes + from] : held[from * lanes + l];
        }
      held = std::move(next);
    }
    for (int64_t r = 0; r < registers; ++r)
      for (int64_t l = 0; l < lanes; ++l) {
        const std::vector<int64_t> wanted = pull.apply({r, l});
        if (held[r * lanes + l] != std::pair<int64_t, int64_t>{wanted[0], wanted[1]})
          return false;
      }
    return true;
  }

  /// The outputs in memory, output `contiguous` the fastest, each row of it `pad` bytes longer.
  std::optional<LinearLayout> memory(size_t contiguous, int64_t pad) const {
    const auto &outputs = from.outputs();
    std::vector<LayoutInput> inputs;
    int64_t bytes = elementBits / 8, stride = bytes;
    std::vector<int64_t> strides(outputs.size());
    strides[contiguous] = bytes;
    stride = outputs[contiguous].size * bytes + pad;
    for (size_t o = 0; o < outputs.size(); ++o)
      if (o != contiguous)
        strides[o] = stride, stride *= outputs[o].size;
    for (size_t o = 0; o < outputs.size(); ++o)
      inputs.push_back({outputs[o].name, {{outputs[o].size, {strides[o]}, false}}});
    return LinearLayout(std::move(inputs), {{"offset", stride}});
  }

  std::optional<Relayout> throughShared() const {
    std::optional<Relayout> best;
    if (elementBits < 8)
      return best;
    for (size_t contiguous = 0; contiguous < from.outputs().size(); ++contiguous)
      for (int64_t pad : {0, 4, 8, 16, 32, 64}) {
        std::optional<LinearLayout> place = memory(contiguous, pad);
        std::optional<LinearLayout> store = compose(*place, from), load = compose(*place, to);
        if (!store || !load)
          continue;
        const int bytes = elementBits / 8;
        Relayout plan;
        auto access = [&](RelayoutStep::Kind kind, const LinearLayout &map) {
          const int width = widestAccess(map, bytes);
          if (std::optional<SharedAccess> cost = sharedAccess(map, bytes, width)) {
            const int64_t warps = std::max<int64_t>(map.inputSize("warp"), 1);
            add(plan, {kind, map, std::max(cost->instructions, cost->wavefronts) / warps, width});
          }
        };
        access(RelayoutStep::Kind::Store, *store);
        add(plan, {RelayoutStep::Kind::Barrier, {}, 16, 0}); // a guess at what waiting costs
        access(RelayoutStep::Kind::Load, *load);
        if (plan.steps.size() != 3)
          continue;
        plan.sharedBytes = place->outputs()[0].size;
        if (!best || plan.cost < best->cost)
          best = plan;
      }
    return best;
  }
};

} // namespace

std::optional<Relayout> relayout(const LinearLayout &from, const LinearLayout &to, int elementBits) {
  if (from.outputs() != to.outputs())
    return std::nullopt;
  return Planner(from, to, elementBits).best();
}

std::string Relayout::str() const {
  static const char *const names[] = {"registers", "shuffle", "store", "barrier", "load"};
  std::string text;
  for (const RelayoutStep &step : steps)
    text +=
        (text.empty() ? "" : ", ") + std::string(names[static_cast<int>(step.kind)]) + " " + std::to_string(step.cost);
  return (text.empty() ? "nothing" : text) + ": " + std::to_string(cost);
}

} // namespace stepdown
