// Composition and inversion. Both work digit by digit: a digit of one layout must lie within digits of the other.
#include "lib/Layout/LinearLayout.h"
#include <algorithm>
#include <map>

namespace stepdown {
namespace {

/// Where a value of an input begins in its digits: value = times * weight of digit `digit`.
struct Place {
  size_t digit;
  int64_t times;
};

/// The digit of `input` that a step of `value` moves, if it moves that alone.
std::optional<Place> placeOf(const LayoutInput &input, int64_t value) {
  int64_t weight = 1;
  for (size_t d = 0; d < input.digits.size(); weight *= input.digits[d++].size)
    if (value < weight * input.digits[d].size)
      return value % weight ? std::nullopt : std::optional<Place>({d, value / weight});
  return std::nullopt;
}

/// One of inner's digits, cut so that it moves one digit of each of outer's inputs at most.
struct Piece {
  LayoutDigit digit;
  size_t input;
};

} // namespace

std::optional<LinearLayout> compose(const LinearLayout &outer, const LinearLayout &inner) {
  const auto &middle = inner.outputs();
  const size_t outputs = outer.outputs().size();
  std::vector<const LayoutInput *> into; // [outputs of inner]
  for (const LayoutOutput &output : middle) {
    auto found = std::find_if(outer.inputs().begin(), outer.inputs().end(),
                              [&](const LayoutInput &input) { return input.name == output.name; });
    if (found == outer.inputs().end() || output.size > found->size())
      return std::nullopt;
    into.push_back(&*found);
  }
  std::vector<Piece> pieces;
  for (size_t i = 0; i < inner.inputs().size(); ++i)
    for (LayoutDigit digit : inner.inputs()[i].digits) {
      while (digit.size > 1) {
        int64_t size = digit.size;
        for (size_t m = 0; m < middle.size() && !digit.flips; ++m)
          if (digit.step[m]) {
            std::optional<Place> place = placeOf(*into[m], digit.step[m]);
            if (!place)
              return std::nullopt;
            const int64_t held = into[m]->digits[place->digit].size;
            if ((digit.size - 1) * place->times < held)
              continue; // all of it fits
            if (held % place->times)
              return std::nullopt;
            size = std::min(size, held / place->times);
          }
        if (digit.size % size)
          return std::nullopt;
        pieces.push_back({{size, digit.step, digit.flips}, i});
        digit.size /= size;
        for (int64_t &step : digit.step)
          step *= size;
      }
    }
  // What meets in a digit of outer must not carry into the next. Steps of flipping pieces are taken bit by bit.
  struct Meeting {
    int64_t sum = 0;   // the largest value there, in units of the digit
    int64_t flips = 0; // the bits that pieces flip, in the middle's units
  };
  std::map<std::pair<size_t, size_t>, Meeting> meetings; // by output of inner and digit there
  std::map<std::pair<size_t, int>, int> flippers;        // how many pieces flip a bit of the middle
  for (const Piece &piece : pieces)
    for (size_t m = 0; m < middle.size(); ++m) {
      if (!piece.digit.flips) {
        if (piece.digit.step[m]) {
          const Place place = *placeOf(*into[m], piece.digit.step[m]);
          meetings[{m, place.digit}].sum += place.times * (piece.digit.size - 1);
        }
        continue;
      }
      for (int bit = 0; bit < 62; ++bit)
        if (piece.digit.step[m] >> bit & 1) {
          std::optional<Place> place = placeOf(*into[m], int64_t(1) << bit);
          if (!place)
            return std::nullopt;
          Meeting &meeting = meetings[{m, place->digit}];
          if (!(meeting.flips >> bit & 1))
            meeting.sum += place->times;
          meeting.flips |= int64_t(1) << bit;
          ++flippers[{m, bit}];
        }
    }
  for (const auto &[where, meeting] : meetings)
    if (meeting.sum >= into[where.first]->digits[where.second].size)
      return std::nullopt;

  // The image of every piece: what adds, and what flips.
  std::vector<int64_t> shared(outputs, 0); // bits that flip in the result
  std::map<std::pair<size_t, int>, bool> counted;
  bool possible = true;
  std::vector<LayoutDigit> images;
  std::vector<std::vector<int64_t>> demanded; // steps that add in outer but must flip in the result
  for (const Piece &piece : pieces) {
    LayoutDigit image{piece.digit.size, std::vector<int64_t>(outputs, 0), false};
    std::vector<int64_t> adds(outputs, 0), flips(outputs, 0);
    struct Part {
      size_t m;
      int bit;
      const LayoutDigit *digit;
      int64_t times;
    };
    std::vector<Part> adding;
    bool mustFlip = false;
    for (size_t m = 0; m < middle.size(); ++m) {
      auto part = [&](int64_t step, int bit) {
        const Place place = *placeOf(*into[m], step);
        const LayoutDigit &digit = into[m]->digits[place.digit];
        if (digit.flips) {
          mustFlip = true;
          for (size_t o = 0; o < outputs; ++o)
            flips[o] ^= digit.step[o];
        } else {
          adding.push_back({m, bit, &digit, place.times});
          mustFlip |= bit >= 0 && flippers[{m, bit}] > 1;
        }
      };
      if (!piece.digit.flips) {
        if (piece.digit.step[m])
          part(piece.digit.step[m], -1);
        continue;
      }
      for (int bit = 0; bit < 62; ++bit)
        if (piece.digit.step[m] >> bit & 1)
          part(int64_t(1) << bit, bit);
    }
    if (mustFlip && piece.digit.size != 2)
      return std::nullopt;
    for (const Part &part : adding) {
      std::vector<int64_t> step(outputs);
      for (size_t o = 0; o < outputs; ++o)
        step[o] = part.digit->step[o] * part.times;
      for (size_t o = 0; o < outputs; ++o)
        (mustFlip ? flips : adds)[o] += mustFlip ? 0 : step[o];
      if (!mustFlip)
        continue;
      for (size_t o = 0; o < outputs; ++o)
        flips[o] ^= step[o];
      if (part.bit < 0 || !counted[{part.m, part.bit}])
        demanded.push_back(std::move(step));
      if (part.bit >= 0)
        counted[{part.m, part.bit}] = true;
    }
    image.flips = mustFlip;
    image.step = mustFlip ? flips : adds;
    images.push_back(std::move(image));
  }
  // Steps that add may flip instead where they share no bit with anything else that flips.
  for (const LayoutInput &input : outer.inputs())
    for (const LayoutDigit &digit : input.digits)
      if (digit.flips)
        for (size_t o = 0; o < outputs; ++o)
          shared[o] |= digit.step[o];
  for (const std::vector<int64_t> &step : demanded)
    for (size_t o = 0; o < outputs; ++o) {
      possible &= !(shared[o] & step[o]);
      shared[o] |= step[o];
    }
  if (!possible)
    return std::nullopt;
  std::vector<LayoutInput> inputs;
  for (const LayoutInput &input : inner.inputs())
    inputs.push_back({input.name, {}});
  for (size_t p = 0; p < pieces.size(); ++p)
    inputs[pieces[p].input].digits.push_back(std::move(images[p]));
  LinearLayout result(std::move(inputs), outer.outputs());
  return result.problem().empty() ? std::optional<LinearLayout>(std::move(result)) : std::nullopt;
}

namespace {

/// A digit of the layout to invert, and where its own value counts: `weight` of `input`.
struct Source {
  int64_t size;
  std::vector<int64_t> step; // [outputs]
  size_t input;
  int64_t weight;
};

/// The xor bits as equations: which of them make each output bit. Gauss over GF(2).
class FlipEquations {
public:
  explicit FlipEquations(std::vector<Source> bits) : bits(std::move(bits)) {}
  const std::vector<Source> &unknowns() const { return bits; }

  int64_t mask(size_t output) const {
    int64_t mask = 0;
    for (const Source &bit : bits)
      mask |= bit.step[output];
    return mask;
  }

  /// For each output bit of `masks` the unknowns that are set when it alone is: [bit] -> set. Left: of the output bits
  /// only as many matter as there are unknowns, the others give none. False where there is no solution.
  bool solve(const std::vector<int64_t> &masks, bool left,
             std::map<std::pair<size_t, int>, std::vector<bool>> &answer) {
    struct Row {
      std::vector<bool> unknowns, outputs;
    };
    std::vector<std::pair<size_t, int>> at;
    for (size_t o = 0; o < masks.size(); ++o)
      for (int b = 0; b < 62; ++b)
        if (masks[o] >> b & 1)
          at.push_back({o, b});
    std::vector<Row> rows(at.size());
    for (size_t r = 0; r < at.size(); ++r) {
      rows[r].outputs.assign(at.size(), false);
      rows[r].outputs[r] = true;
      for (const Source &bit : bits)
        rows[r].unknowns.push_back(bit.step[at[r].first] >> at[r].second & 1);
    }
    size_t rank = 0;
    std::vector<size_t> pivots;
    for (size_t u = 0; u < bits.size(); ++u) {
      size_t r = rank;
      while (r < rows.size() && !rows[r].unknowns[u])
        ++r;
      if (r == rows.size()) {
        if (left)
          return false; // this bit changes nothing that others do not
        continue;
      }
      std::swap(rows[r], rows[rank]);
      for (size_t other = 0; other < rows.size(); ++other)
        if (other != rank && rows[other].unknowns[u]) {
          for (size_t k = 0; k < bits.size(); ++k)
            rows[other].unknowns[k] = rows[other].unknowns[k] != rows[rank].unknowns[k];
          for (size_t k = 0; k < at.size(); ++k)
            rows[other].outputs[k] = rows[other].outputs[k] != rows[rank].outputs[k];
        }
      pivots.push_back(u);
      ++rank;
    }
    if (!left && rank < at.size())
      return false; // some output bits are never alone
    for (size_t k = 0; k < at.size(); ++k) {
      std::vector<bool> set(bits.size(), false);
      for (size_t r = 0; r < rank; ++r)
        set[pivots[r]] = rows[r].outputs[k];
      answer[at[k]] = std::move(set);
    }
    return true;
  }

private:
  std::vector<Source> bits;
};

std::optional<LinearLayout> invert(const LinearLayout &layout, bool left) {
  const size_t outputs = layout.outputs().size();
  std::vector<std::vector<Source>> adding(outputs); // digits of one output each
  std::vector<Source> flipping, diagonals;
  for (size_t i = 0; i < layout.inputs().size(); ++i) {
    int64_t weight = 1;
    for (const LayoutDigit &digit : layout.inputs()[i].digits) {
      const size_t moved = outputs - std::count(digit.step.begin(), digit.step.end(), 0);
      if (moved == 0 && left)
        return std::nullopt; // two to one
      if (digit.flips) {
        flipping.push_back({2, digit.step, i, weight});
      } else if (moved == 1) {
        const size_t o =
            std::find_if(digit.step.begin(), digit.step.end(), [](int64_t s) { return s != 0; }) - digit.step.begin();
        adding[o].push_back({digit.size, digit.step, i, weight});
      } else if (moved > 1) { // a diagonal: alone in what it moves, a bit flips as well as it adds
        if (digit.size & (digit.size - 1))
          return std::nullopt;
        for (int64_t done = 1; done < digit.size; done *= 2) {
          Source bit{2, digit.step, i, weight * done};
          for (int64_t &step : bit.step)
            step *= done;
          diagonals.push_back(std::move(bit));
        }
      }
      weight *= digit.size;
    }
  }
  for (const Source &diagonal : diagonals) { // where adding carries it is no flipping
    for (const Source &other : flipping)
      for (size_t o = 0; o < outputs; ++o)
        if (diagonal.step[o] & other.step[o])
          return std::nullopt;
    flipping.push_back(diagonal);
  }
  FlipEquations equations(std::move(flipping));
  std::vector<int64_t> masks;
  for (size_t o = 0; o < outputs; ++o)
    masks.push_back(equations.mask(o));
  std::map<std::pair<size_t, int>, std::vector<bool>> answer;
  if (!equations.solve(masks, left, answer))
    return std::nullopt;

  std::vector<LayoutOutput> results;
  for (const LayoutInput &input : layout.inputs())
    results.push_back({input.name, input.size()});
  std::vector<LayoutInput> inputs;
  for (size_t o = 0; o < outputs; ++o) {
    LayoutInput made{layout.outputs()[o].name, {}};
    const int64_t size = layout.outputs()[o].size;
    int64_t reached = 1;
    while (reached < size) {
      LayoutDigit digit{1, std::vector<int64_t>(results.size(), 0), false};
      const bool isPower = (reached & (reached - 1)) == 0;
      const Source *best = nullptr;
      int64_t next = size; // where the next digit begins
      for (const Source &source : adding[o]) {
        if (source.step[o] == reached && (!best || source.size > best->size)) {
          if (best && left)
            return std::nullopt;
          best = &source;
        } else if (source.step[o] == reached && left) {
          return std::nullopt;
        }
        if (source.step[o] > reached)
          next = std::min(next, source.step[o]);
      }
      for (int bit = 0; bit < 62; ++bit)
        if (masks[o] >> bit & 1 && (int64_t(1) << bit) > reached)
          next = std::min(next, int64_t(1) << bit);
      if (isPower && masks[o] & reached) {
        if (best)
          return std::nullopt;
        const std::vector<bool> &set = answer[{o, __builtin_ctzll(static_cast<uint64_t>(reached))}];
        digit.size = 2, digit.flips = true;
        for (size_t u = 0; u < set.size(); ++u)
          if (set[u]) {
            const Source &source = equations.unknowns()[u];
            digit.step[source.input] ^= source.weight;
          }
      } else if (best) {
        if (reached * best->size > next) {
          if (left)
            return std::nullopt;
          if (next % reached)
            return std::nullopt;
        }
        digit.size = std::min(best->size, next / reached);
        digit.step[best->input] = best->weight;
      } else {
        if (!left || next % reached)
          return std::nullopt;
        digit.size = next / reached;
      }
      reached *= digit.size;
      made.digits.push_back(std::move(digit));
    }
    if (reached != size)
      return std::nullopt;
    inputs.push_back(std::move(made));
  }
  // Weights of bits behind an odd digit are no powers of two: they flip only where they share no bit.
  std::vector<int64_t> weights(results.size(), 0);
  for (const Source &source : equations.unknowns()) {
    if (weights[source.input] & source.weight)
      return std::nullopt;
    weights[source.input] |= source.weight;
  }
  LinearLayout result(std::move(inputs), std::move(results));
  return result.problem().empty() ? std::optional<LinearLayout>(std::move(result)) : std::nullopt;
}

} // namespace

std::optional<LinearLayout> leftInverse(const LinearLayout &layout) { return invert(layout, true); }

std::optional<LinearLayout> rightInverse(const LinearLayout &layout) { return invert(layout, false); }

} // namespace stepdown
