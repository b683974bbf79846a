// What drawing one token costs at a vocabulary of 262,144, for the table in docs/sampling.md:
//   ninja -C build SamplingCost && build/bin/SamplingCost
#include "runtime/Sampler/Sampler.h"
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

using namespace stepdown;

static double milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int main() {
  constexpr int32_t vocabulary = 262144;
  constexpr int rows = 8, repeats = 60;
  struct Shape {
    const char *name;
    double spread, rise;
  };
  // Few tokens likely, as a trained model has it; and all of them, as nothing has that one would sample from.
  for (const Shape &shape : {Shape{"peaked", 2.5, 12}, Shape{"flat", 0.5, 0}}) {
    std::vector<std::vector<float>> logits(rows, std::vector<float>(vocabulary));
    std::mt19937 engine(7);
    std::normal_distribution<double> normal(0, shape.spread);
    for (std::vector<float> &row : logits) {
      for (float &l : row)
        l = static_cast<float>(normal(engine));
      for (int i = 0; i < 40 && shape.rise > 0; ++i)
        row[engine() % vocabulary] = static_cast<float>(shape.rise + normal(engine));
    }
    auto cost = [&](const char *name, const SamplingOptions &options, bool probabilities = false) {
      Result<Sampler> sampler = Sampler::create(options, vocabulary);
      if (!sampler)
        return;
      std::vector<double> spent;
      LogProbabilities told;
      for (int i = 0; i < rows * repeats; ++i) {
        const double begin = milliseconds();
        if (!sampler->draw(logits[i % rows].data(), 0, i, probabilities ? &told : nullptr))
          return;
        spent.push_back(milliseconds() - begin);
      }
      std::sort(spent.begin(), spent.end());
      std::printf("%-8s %-32s %7.3f ms\n", shape.name, name, spent[spent.size() / 2]);
    };
    SamplingOptions o;
    o.temperature = 0;
    cost("greedy", o);
    cost("greedy, log-probabilities", o, true);
    o.temperature = 0.9f;
    cost("temperature", o);
    o.topP = 0.95f;
    cost("top-p 0.95", o);
    o.topK = 64;
    o.minP = 0.05f;
    cost("top-k 64, top-p 0.95, min-p 0.05", o);
    o = {};
    o.typicalP = 0.9f;
    cost("typical 0.9", o);
    o = {};
    o.minP = 0.05f;
    cost("min-p 0.05", o);
  }
  return 0;
}
