// What constraints cost with the vocabulary of a checkpoint, for the table in docs/constrained.md:
//   ninja -C build GrammarCost && build/bin/GrammarCost models/gemma3.gguf
// Each figure is user time of this thread: the least of several runs for what is done once, the mean over all tokens of
// a text for what is done at each.
#include "lib/Grammar/Constraint.h"
#include "lib/Grammar/Sample.h"
#include "runtime/Grammar/Constraint.h"
#include <algorithm>
#include <cstdio>
#include <ctime>

using namespace stepdown;
using namespace stepdown::grammar;

static double milliseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: GrammarCost MODEL.gguf\n");
    return 2;
  }
  auto file = Checkpoint::open(argv[1]);
  auto tokenizer = file ? Tokenizer::create(file->metadata()) : Result<Tokenizer>(file.error());
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().text().c_str());
    return 1;
  }
  const int32_t columns = tokenizer->vocabularySize();
  double tree = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double begin = milliseconds();
    ConstraintVocabulary vocabulary(*tokenizer, columns);
    tree = std::min(tree, milliseconds() - begin);
  }
  auto vocabulary = std::make_shared<const ConstraintVocabulary>(*tokenizer, columns);
  std::printf("%d tokens, tree %.1f ms\n", columns, tree);
  struct Case {
    const char *name;
    Notation notation;
    const char *text;
  };
  const Case cases[] = {
      {"any JSON", Notation::JsonSchema, "{}"},
      {"an object of ten properties", Notation::JsonSchema,
       R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":150},
           "mail":{"type":"string","pattern":"^[^@ ]+@[^@ ]+$"},"tags":{"type":"array","items":{"type":"string"}},
           "kind":{"enum":["red","green","blue"]},"note":{"type":"string","maxLength":200},"price":{"type":"number"},
           "when":{"type":"string","pattern":"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},"ok":{"type":"boolean"},
           "more":{"type":"object"}},"required":["name","age","mail","tags","kind","note"],"additionalProperties":false})"},
      {"lines of a list", Notation::Gbnf, "root ::= (\"- \" [^\\n]+ \"\\n\")+"},
      {"a date", Notation::Regex, "[0-9]{4}-[0-9]{2}-[0-9]{2}"},
  };
  for (const Case &each : cases) {
    double compile = 1e9, first = 1e9;
    std::shared_ptr<const Network> network;
    for (int i = 0; i < 5; ++i) {
      const double begin = milliseconds();
      network = *compileConstraint(each.notation, each.text);
      compile = std::min(compile, milliseconds() - begin);
    }
    for (int i = 0; i < 5; ++i) {
      const double begin = milliseconds();
      ConstrainedText text(std::make_shared<Constraint>(network, vocabulary), true);
      (void)*text.allowed();
      first = std::min(first, milliseconds() - begin);
    }
    // Texts as a tokenizer splits them, a thousand of them: each step is a mask and a token.
    RandomTexts random(network);
    std::mt19937_64 engine(11);
    auto constraint = std::make_shared<Constraint>(network, vocabulary);
    double spent = 0, longest = 0;
    size_t steps = 0;
    std::vector<double> all;
    for (int i = 0; i < 60; ++i) {
      auto drawn = random.bytes(engine, 300);
      EncodeOptions options;
      options.addSpecial = false;
      auto ids = tokenizer->encode(*drawn, options);
      ConstrainedText text(constraint, true);
      for (int32_t id : *ids) {
        const double begin = milliseconds();
        auto mask = text.allowed();
        if (!mask || !*mask || !((*mask)[id / 64] >> (id % 64) & 1))
          break; // an encoder may put a space before a text
        if (!text.accept(id))
          break;
        const double took = milliseconds() - begin;
        all.push_back(took);
        spent += took;
        longest = std::max(longest, took);
        ++steps;
      }
    }
    std::sort(all.begin(), all.end());
    std::printf(
        "%-28s %6zu states  compiled in %7.2f ms  first mask %6.2f ms  then %zu tokens: median %.3f, mean %.3f, "
        "longest %.2f ms\n",
        each.name, network->states.size(), compile, first, steps, steps ? all[steps / 2] : 0,
        steps ? spent / static_cast<double>(steps) : 0, longest);
  }
  return 0;
}
