#include "tools/stepdown-device-check/Cases.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

namespace stepdown::devicecheck {
namespace {

float valueOf(uint32_t element, const void *data, size_t at) {
  float value;
  if (element == STEPDOWN_F32) {
    std::memcpy(&value, static_cast<const uint8_t *>(data) + 4 * at, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, static_cast<const uint8_t *>(data) + 2 * at, 2);
  if (element == STEPDOWN_BF16) {
    const uint32_t wide = uint32_t(bits) << 16;
    std::memcpy(&value, &wide, 4);
    return value;
  }
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return static_cast<float>(half);
}

void putValue(uint32_t element, uint8_t *data, size_t at, float value) {
  if (element == STEPDOWN_F32) {
    std::memcpy(data + 4 * at, &value, 4);
  } else if (element == STEPDOWN_BF16) {
    uint32_t wide;
    std::memcpy(&wide, &value, 4);
    const uint16_t bits = uint16_t((wide + 0x7fff + (wide >> 16 & 1)) >> 16); // to the nearest, ties to even
    std::memcpy(data + 2 * at, &bits, 2);
  } else {
    const _Float16 half = static_cast<_Float16>(value);
    std::memcpy(data + 2 * at, &half, 2);
  }
}

uint32_t elementOf(const std::string &name) {
  return name == "f32" ? STEPDOWN_F32 : name == "bf16" ? STEPDOWN_BF16 : STEPDOWN_F16;
}
/// Half of the distance of neighbours near 1, doubled where a value below a power of two meets one above.
double unitOf(const std::string &name) { return name == "f32" ? 0x1p-24 : name == "bf16" ? 0x1p-8 : 0x1p-11; }

std::vector<int64_t> drawn(int64_t count, int64_t samples, std::mt19937_64 &random) {
  std::set<int64_t> some;
  if (count <= samples)
    for (int64_t i = 0; i < count; ++i)
      some.insert(i);
  else
    for (some = {0, count - 1}; int64_t(some.size()) < samples;)
      some.insert(int64_t(random() % uint64_t(count)));
  return {some.begin(), some.end()};
}

struct Sums {
  double difference = 0, reference = 0;
  Difference result;
  void add(double got, double wanted, double bound) {
    difference += (got - wanted) * (got - wanted);
    reference += wanted * wanted;
    const double off = std::fabs(got - wanted) / bound;
    result.worst = off <= result.worst ? result.worst : off; // NaN stays
    ++result.compared;
  }
  Difference done() {
    result.relative = std::sqrt(difference / reference);
    return result;
  }
};

/// The sum of one number, in float64, and of its terms' magnitudes.
void addProduct(const Case &each, const std::vector<float> &a, const std::vector<float> &b, const Array &result,
                int64_t i, int64_t j, Sums &sums) {
  double sum = 0, size = 0;
  for (int64_t l = 0; l < each.k; ++l) {
    const double term = double(a[i * each.k + l]) * b[l * each.n + j];
    sum += term, size += std::fabs(term);
  }
  const double rounding = each.result == "f32" ? 0 : unitOf(each.result);
  sums.add(valueOf(result.element, result.data, size_t(i * each.n + j)), sum,
           size * double(each.k) * 0x1p-24 + std::fabs(sum) * rounding + 1e-30);
}

void addAttention(const Case &c, const std::vector<float> &q, const std::vector<float> &cache, const Array &result,
                  int64_t token, Sums &sums) {
  const int64_t row = 2 * c.kvHeads * c.head, position = c.keys - c.tokens + token;
  std::vector<double> z(static_cast<size_t>(c.keys));
  const double scale = 1 / std::sqrt(double(c.head));
  for (int64_t h = 0; h < c.heads; ++h) {
    const int64_t kv = h / (c.heads / c.kvHeads);
    const float *query = &q[(token * c.heads + h) * c.head];
    double most = -INFINITY, error = 0;
    for (int64_t j = 0; j < c.keys; ++j) {
      z[j] = -INFINITY;
      if ((c.causal && j > position) || (c.window && position - j >= c.window))
        continue;
      const float *key = &cache[j * row + kv * c.head];
      double dot = 0, size = 0;
      for (int64_t e = 0; e < c.head; ++e)
        dot += double(query[e]) * key[e], size += std::fabs(double(query[e]) * key[e]);
      z[j] = dot * scale;
      most = std::max(most, z[j]);
      error = std::max(error, size * scale * double(c.head));
    }
    double total = 0;
    for (double &value : z)
      total += value = std::exp(value - most);
    for (int64_t e = 0; e < c.head; ++e) {
      double sum = 0, size = 0;
      for (int64_t j = 0; j < c.keys; ++j)
        if (z[j] > 0) {
          const double term = z[j] / total * cache[j * row + (c.kvHeads + kv) * c.head + e];
          sum += term, size += std::fabs(term);
        }
      // Weights are rounded to the element before they meet the values; sums are float32.
      const double bound = size * (unitOf(c.element) + (error + double(c.keys) + 16) * 0x1p-22) +
                           std::fabs(sum) * unitOf(c.result) + 1e-7;
      sums.add(valueOf(result.element, result.data, size_t((token * c.heads + h) * c.head + e)), sum, bound);
    }
  }
}

} // namespace

double Case::operations() const {
  if (isProduct())
    return 2.0 * double(m) * double(n) * double(k);
  double seen = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t position = keys - tokens + t, last = causal ? std::min(keys, position + 1) : keys;
    const int64_t first = window ? std::max<int64_t>(0, position - window + 1) : 0;
    seen += double(std::max<int64_t>(0, last - first));
  }
  return 4.0 * seen * double(heads) * double(head);
}

double Case::bytes() const {
  const double in = element == "f32" ? 4 : 2, out = result == "f32" ? 4 : 2;
  if (isProduct())
    return in * double(m * k + k * n) + out * double(m * n);
  return in * double(tokens * heads * head + 2 * keys * kvHeads * head) + out * double(tokens * heads * head);
}

Result<Case> caseOf(const nlohmann::json &plan) {
  Case made;
  try {
    made.function = plan.at("function");
    made.kind = plan.at("kind");
    made.element = plan.at("element");
    made.result = plan.at("result");
    const std::pair<const char *, int64_t *> numbers[] = {{"m", &made.m},
                                                          {"n", &made.n},
                                                          {"k", &made.k},
                                                          {"tokens", &made.tokens},
                                                          {"keys", &made.keys},
                                                          {"heads", &made.heads},
                                                          {"kv_heads", &made.kvHeads},
                                                          {"head", &made.head},
                                                          {"window", &made.window}};
    for (auto [name, number] : numbers)
      *number = plan.value(name, int64_t(0));
    made.causal = plan.value("causal", false);
    made.seed = plan.value("seed", uint64_t(1));
  } catch (const nlohmann::json::exception &problem) {
    return fail(ErrorCode::JsonSyntax, "plan: expects a case, but %s", problem.what());
  }
  const bool sound = made.isProduct() ? made.m > 0 && made.n > 0 && made.k > 0
                                      : made.kind == "attention" && made.tokens > 0 && made.keys >= made.tokens &&
                                            made.kvHeads > 0 && made.heads % made.kvHeads == 0 && made.head > 0;
  if (!sound)
    return fail(ErrorCode::JsonSyntax, "plan: %s: expects a product or attention of sizes from 1 on",
                made.function.c_str());
  return made;
}

Inputs drawInputs(const Case &each) {
  Inputs inputs;
  std::mt19937_64 random(each.seed);
  std::normal_distribution<float> normal;
  auto add = [&](std::vector<int64_t> dims) {
    const uint32_t element = elementOf(each.element);
    Array array{element, std::move(dims), nullptr};
    inputs.bytes.emplace_back(array.bytes());
    for (size_t i = 0; i < array.elements(); ++i)
      putValue(element, inputs.bytes.back().data(), i, normal(random));
    array.data = inputs.bytes.back().data();
    inputs.arrays.push_back(array);
  };
  if (each.isProduct()) {
    add({each.m, each.k});
    add({each.k, each.n});
    return inputs;
  }
  add({each.tokens, each.heads * each.head});
  inputs.bytes.emplace_back(size_t(each.tokens) * 4); // the last ones of the sequence
  for (int64_t t = 0; t < each.tokens; ++t) {
    const auto position = int32_t(each.keys - each.tokens + t);
    std::memcpy(inputs.bytes.back().data() + 4 * t, &position, 4);
  }
  inputs.arrays.push_back({STEPDOWN_I32, {each.tokens}, inputs.bytes.back().data()});
  add({each.keys, 2 * each.kvHeads * each.head});
  return inputs;
}

Difference compare(const Case &each, const Inputs &inputs, const Array &result, int64_t samples) {
  auto floats = [&](const Array &array) {
    std::vector<float> values(array.elements());
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = valueOf(array.element, array.data, i);
    return values;
  };
  std::mt19937_64 random(each.seed + 1);
  Sums sums;
  const std::vector<float> first = floats(inputs.arrays.front()), last = floats(inputs.arrays.back());
  if (each.isProduct()) {
    for (int64_t i : drawn(each.m, samples, random))
      for (int64_t j = 0; j < each.n; ++j)
        addProduct(each, first, last, result, i, j, sums);
    for (int64_t j : drawn(each.n, samples, random))
      for (int64_t i = 0; i < each.m; ++i)
        addProduct(each, first, last, result, i, j, sums);
  } else {
    for (int64_t token : drawn(each.tokens, samples, random))
      addAttention(each, first, last, result, token, sums);
  }
  Difference difference = sums.done();
  for (size_t i = 0; i < result.elements(); ++i)
    difference.notFinite += !std::isfinite(valueOf(result.element, result.data, i));
  return difference;
}

} // namespace stepdown::devicecheck
