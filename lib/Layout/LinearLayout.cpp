// The normal form of a layout, and what follows from its digits one by one.
#include "lib/Layout/LinearLayout.h"
#include <algorithm>

namespace stepdown {

int64_t LayoutInput::size() const {
  int64_t size = 1;
  for (const LayoutDigit &digit : digits)
    size *= digit.size;
  return size;
}

LinearLayout::LinearLayout(std::vector<LayoutInput> inputs, std::vector<LayoutOutput> outputs)
    : in(std::move(inputs)), out(std::move(outputs)) {
  check();
  if (wrong.empty())
    normalise();
}

/// The largest exclusive-or of any of the values.
static int64_t largestFlip(std::vector<int64_t> values) {
  int64_t largest = 0;
  for (int bit = 62; bit >= 0; --bit) {
    auto pivot = std::find_if(values.begin(), values.end(), [&](int64_t v) { return v >> bit == 1; });
    if (pivot == values.end())
      continue;
    const int64_t by = *pivot;
    *pivot = 0;
    for (int64_t &v : values)
      v = (v >> bit & 1) ? v ^ by : v;
    largest = std::max(largest, largest ^ by);
  }
  return largest;
}

void LinearLayout::check() {
  auto fail = [&](std::string text) { wrong = std::move(text); };
  for (size_t i = 0; i < in.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (in[i].name == in[j].name)
        return fail("expects inputs of different names, but got " + in[i].name + " twice");
  for (size_t i = 0; i < out.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (out[i].name == out[j].name)
        return fail("expects outputs of different names, but got " + out[i].name + " twice");
  for (const LayoutInput &input : in)
    for (const LayoutDigit &digit : input.digits) {
      if (digit.size < 1 || (digit.flips && digit.size != 2))
        return fail("expects digits of a positive size, xor bits of 2, but got " + std::to_string(digit.size) + " in " +
                    input.name);
      if (digit.step.size() != out.size() ||
          std::any_of(digit.step.begin(), digit.step.end(), [](int64_t s) { return s < 0; }))
        return fail("expects a non-negative step for each output in " + input.name);
    }
  for (size_t o = 0; o < out.size(); ++o) {
    int64_t reach = 0;
    std::vector<int64_t> flips;
    for (const LayoutInput &input : in)
      for (const LayoutDigit &digit : input.digits)
        if (digit.flips)
          flips.push_back(digit.step[o]);
        else if (__builtin_add_overflow(reach, (digit.size - 1) * digit.step[o], &reach))
          return fail("expects " + out[o].name + " in 63 bits");
    reach += largestFlip(flips);
    if (reach >= out[o].size)
      return fail("expects " + out[o].name + " below " + std::to_string(out[o].size) + ", but it reaches " +
                  std::to_string(reach));
  }
}

void LinearLayout::normalise() {
  // An xor bit that shares no bit with another adds as well.
  std::vector<LayoutDigit *> flips;
  for (LayoutInput &input : in)
    for (LayoutDigit &digit : input.digits)
      if (digit.flips)
        flips.push_back(&digit);
  std::vector<bool> shares(flips.size());
  for (size_t i = 0; i < flips.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      for (size_t o = 0; o < out.size(); ++o)
        if (flips[i]->step[o] & flips[j]->step[o])
          shares[i] = shares[j] = true;
  for (size_t i = 0; i < flips.size(); ++i)
    flips[i]->flips = shares[i];
  // Neighbours that continue each other are one digit.
  for (LayoutInput &input : in) {
    std::vector<LayoutDigit> digits;
    for (LayoutDigit &digit : input.digits) {
      if (digit.size == 1)
        continue;
      bool continues = !digits.empty() && !digits.back().flips && !digit.flips;
      for (size_t o = 0; continues && o < out.size(); ++o)
        continues = digit.step[o] == digits.back().size * digits.back().step[o];
      if (continues)
        digits.back().size *= digit.size;
      else
        digits.push_back(std::move(digit));
    }
    input.digits = std::move(digits);
  }
}

int64_t LinearLayout::inputSize(std::string_view name) const {
  for (const LayoutInput &input : in)
    if (input.name == name)
      return input.size();
  return 1;
}

int64_t LinearLayout::outputSize(std::string_view name) const {
  for (const LayoutOutput &output : out)
    if (output.name == name)
      return output.size;
  return 1;
}

int64_t LinearLayout::points() const {
  int64_t product = 1;
  for (const LayoutInput &input : in)
    product *= input.size();
  return product;
}

int64_t LinearLayout::outputPoints() const {
  int64_t product = 1;
  for (const LayoutOutput &output : out)
    product *= output.size;
  return product;
}

void LinearLayout::apply(const int64_t *at, int64_t *to) const {
  for (size_t o = 0; o < out.size(); ++o) {
    int64_t flipped = 0, sum = 0;
    for (size_t i = 0; i < in.size(); ++i) {
      int64_t rest = at[i];
      for (const LayoutDigit &digit : in[i].digits) {
        const int64_t value = rest % digit.size * digit.step[o];
        rest /= digit.size;
        digit.flips ? flipped ^= value : sum += value;
      }
    }
    to[o] = flipped + sum;
  }
}

std::vector<int64_t> LinearLayout::apply(const std::vector<int64_t> &at) const {
  std::vector<int64_t> to(out.size());
  apply(at.data(), to.data());
  return to;
}

LinearLayout LinearLayout::identity(const std::string &input, int64_t size, const std::string &output) {
  return LinearLayout({{input, {{size, {1}, false}}}}, {{output, size}});
}

LinearLayout LinearLayout::restrictedTo(const std::vector<std::string> &names) const {
  std::vector<LayoutInput> kept;
  for (const std::string &name : names)
    for (const LayoutInput &input : in)
      if (input.name == name)
        kept.push_back(input);
  return LinearLayout(std::move(kept), out);
}

LinearLayout LinearLayout::onto(const std::vector<std::string> &names) const {
  std::vector<LayoutOutput> kept;
  std::vector<size_t> from;
  for (const std::string &name : names)
    for (size_t o = 0; o < out.size(); ++o)
      if (out[o].name == name)
        kept.push_back(out[o]), from.push_back(o);
  std::vector<LayoutInput> inputs = in;
  for (LayoutInput &input : inputs)
    for (LayoutDigit &digit : input.digits) {
      std::vector<int64_t> step;
      for (size_t o : from)
        step.push_back(digit.step[o]);
      digit.step = std::move(step);
    }
  return LinearLayout(std::move(inputs), std::move(kept));
}

LinearLayout LinearLayout::renamed(const std::string &from, const std::string &to) const {
  LinearLayout result = *this;
  for (LayoutInput &input : result.in)
    if (input.name == from)
      input.name = to;
  for (LayoutOutput &output : result.out)
    if (output.name == from)
      output.name = to;
  return result;
}

LinearLayout LinearLayout::repeated(const std::string &input, int64_t count, const std::string &output,
                                    int64_t step) const {
  std::vector<LayoutInput> inputs = in;
  std::vector<LayoutOutput> outputs = out;
  size_t o = 0, i = 0;
  while (o < outputs.size() && outputs[o].name != output)
    ++o;
  if (o == outputs.size()) {
    outputs.push_back({output, 1});
    for (LayoutInput &other : inputs)
      for (LayoutDigit &digit : other.digits)
        digit.step.push_back(0);
  }
  while (i < inputs.size() && inputs[i].name != input)
    ++i;
  if (i == inputs.size())
    inputs.push_back({input, {}});
  LayoutDigit digit{count, std::vector<int64_t>(outputs.size(), 0), false};
  digit.step[o] = step;
  inputs[i].digits.push_back(digit);
  outputs[o].size += (count - 1) * step;
  return LinearLayout(std::move(inputs), std::move(outputs));
}

std::optional<LinearLayout> product(const LinearLayout &fast, const LinearLayout &slow) {
  std::vector<LayoutInput> inputs = fast.inputs();
  std::vector<LayoutOutput> outputs = fast.outputs();
  std::vector<size_t> to;     // [outputs of slow]: which of the result's
  std::vector<int64_t> scale; // [outputs of slow]
  for (const LayoutOutput &output : slow.outputs()) {
    size_t o = 0;
    while (o < outputs.size() && outputs[o].name != output.name)
      ++o;
    if (o == outputs.size())
      outputs.push_back({output.name, 1});
    to.push_back(o);
    scale.push_back(outputs[o].size);
    outputs[o].size *= output.size;
  }
  for (LayoutInput &input : inputs)
    for (LayoutDigit &digit : input.digits)
      digit.step.resize(outputs.size(), 0);
  for (const LayoutInput &input : slow.inputs()) {
    size_t i = 0;
    while (i < inputs.size() && inputs[i].name != input.name)
      ++i;
    if (i == inputs.size())
      inputs.push_back({input.name, {}});
    for (const LayoutDigit &digit : input.digits) {
      LayoutDigit scaled{digit.size, std::vector<int64_t>(outputs.size(), 0), digit.flips};
      for (size_t o = 0; o < to.size(); ++o) {
        if (digit.flips && digit.step[o] && (scale[o] & (scale[o] - 1)))
          return std::nullopt;
        scaled.step[to[o]] = digit.step[o] * scale[o];
      }
      inputs[i].digits.push_back(std::move(scaled));
    }
  }
  return LinearLayout(std::move(inputs), std::move(outputs));
}

} // namespace stepdown
