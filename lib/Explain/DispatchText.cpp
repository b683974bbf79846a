// The report on a device's dispatches as text for people and as JSON for programs.
#include "lib/Explain/Dispatches.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace stepdown {

using llvm::json::Array;
using llvm::json::Object;

/// Machines that run code of the report's chip; all of them where none does.
static std::vector<const Machine *> machinesOf(const DispatchReport &report) {
  std::vector<const Machine *> own;
  for (const Machine &machine : machines())
    if (report.chip == machine.chip)
      own.push_back(&machine);
  if (own.empty())
    for (const Machine &machine : machines())
      own.push_back(&machine);
  return own;
}

static Object trafficObject(const DispatchTraffic &t) {
  Array predictions;
  for (const Machine &machine : machines()) {
    const Prediction p = predict(t, machine);
    predictions.push_back(Object{{"machine", machine.name}, {"seconds", p.seconds}, {"bound", nameOf(p.bound)}});
  }
  return Object{{"variant", int64_t(t.variant)},
                {"grid", Array{int64_t(t.grid[0]), int64_t(t.grid[1])}},
                {"threads", int64_t(t.threads)},
                {"groups", int64_t(t.groups())},
                {"busy_groups", int64_t(t.busy ? t.busy : t.groups())},
                {"weights_read", int64_t(t.weightsRead)},
                {"cache_read", int64_t(t.cacheRead)},
                {"cache_written", int64_t(t.cacheWritten)},
                {"other_read", int64_t(t.otherRead)},
                {"other_written", int64_t(t.otherWritten)},
                {"bytes_read", int64_t(t.read())},
                {"bytes_written", int64_t(t.written())},
                {"asked_of_cache", int64_t(t.asked)},
                {"operations", int64_t(t.operations)},
                {"products", int64_t(t.products)},
                {"chain", int64_t(t.chain)},
                {"predicted", std::move(predictions)}};
}

static uint64_t launchesOf(const DispatchReport &report, bool many) {
  uint64_t launches = 0;
  for (const ExplainedDispatch &d : report.dispatches)
    launches += (many ? d.many : d.one).groups() ? d.times : 0;
  return launches;
}

static Object loadObject(const StepLoad &load) {
  return Object{{"tokens", int64_t(load.tokens)}, {"positions", int64_t(load.length)}, {"rows", int64_t(load.rows)}};
}

std::string toJson(const DispatchReport &report) {
  Array dispatches, steps;
  for (const ExplainedDispatch &d : report.dispatches)
    dispatches.push_back(Object{{"function", d.function},
                                {"kernel", d.kernel},
                                {"times", int64_t(d.times)},
                                {"by_rows", d.byRows},
                                {"tiles", d.ofTiles},
                                {"columns", int64_t(d.columns)},
                                {"whole_operands", d.byOperands},
                                {"one_token", trafficObject(d.one)},
                                {"prompt", trafficObject(d.many)}});
  for (const Machine &m : machines())
    steps.push_back(Object{{"machine", m.name},
                           {"chip", m.chip},
                           {"runs_this_code", report.chip == m.chip},
                           {"memory_bytes", m.memory},
                           {"bytes_per_second", m.bandwidth},
                           {"units", int64_t(m.units)},
                           {"hertz", m.clock},
                           {"float32_per_second", m.float32},
                           {"products_per_second", m.float16},
                           {"unit_bytes_per_clock", m.unitBytes},
                           {"clocks_of_a_sum", m.latency},
                           {"launch_seconds", m.launch},
                           {"replay_seconds", m.replay},
                           {"one_token_seconds", predictStep(report, false, m)},
                           {"prompt_seconds", predictStep(report, true, m)},
                           {"one_token_replayed_seconds", predictStep(report, false, m, true)},
                           {"prompt_replayed_seconds", predictStep(report, true, m, true)}});
  Object root{{"device", report.device},
              {"measured", nullptr},
              {"one_token", loadObject(report.one)},
              {"prompt", loadObject(report.many)},
              {"launches", Object{{"one_token", int64_t(launchesOf(report, false))},
                                  {"prompt", int64_t(launchesOf(report, true))}}},
              {"dispatches", std::move(dispatches)},
              {"steps", std::move(steps)}};
  return llvm::formatv("{0}", llvm::json::Value(std::move(root)));
}

std::string toText(const DispatchReport &report) {
  std::string text;
  llvm::raw_string_ostream out(text);
  const Machine &machine = *machinesOf(report).front();
  out << llvm::formatv(
      "\nDispatches on {0}: 1 token behind {1} others, and a prompt of {2}, of which {3} row is wanted\n"
      "Times on {4} are predicted from its data sheet and an assumed {5:f0} us a launch; nothing was "
      "measured.\n",
      report.device, report.one.length - 1, report.many.tokens, report.many.rows, machine.name, machine.launch * 1e6);
  out << llvm::formatv("  {0,-10} {1,-20} {2,5}", "function", "dispatch", "times");
  for (bool prompt : {false, true})
    out << ' ' << llvm::right_justify("groups", prompt ? 7 : 6) << ' ' << llvm::right_justify("threads", 7) << ' '
        << llvm::right_justify("read", 11) << ' ' << llvm::right_justify("written", prompt ? 11 : 9) << ' '
        << llvm::right_justify("operations", prompt ? 15 : 12) << ' ' << llvm::right_justify("chain", prompt ? 7 : 6)
        << ' ' << llvm::right_justify("us", prompt ? 10 : 8) << ' ' << llvm::formatv("{0,-10}", "bound by");
  out << "\n";
  bool whole = false;
  for (const ExplainedDispatch &d : report.dispatches) {
    whole |= d.byOperands;
    out << llvm::formatv("  {0,-10} {1,-20} {2,5}", d.function, d.kernel + (d.byOperands ? "*" : ""), d.times);
    for (const DispatchTraffic *t : {&d.one, &d.many}) {
      const Prediction p = predict(*t, machine);
      const bool prompt = t == &d.many;
      out << ' ' << llvm::right_justify(std::to_string(t->groups()), prompt ? 7 : 6) << ' '
          << llvm::right_justify(std::to_string(t->threads), 7) << ' '
          << llvm::right_justify(std::to_string(t->read()), 11) << ' '
          << llvm::right_justify(std::to_string(t->written()), prompt ? 11 : 9) << ' '
          << llvm::right_justify(std::to_string(t->operations + t->products), prompt ? 15 : 12) << ' '
          << llvm::right_justify(std::to_string(t->chain), prompt ? 7 : 6) << ' '
          << llvm::right_justify(llvm::formatv("{0:f2}", p.seconds * 1e6).str(), prompt ? 10 : 8) << ' '
          << llvm::formatv("{0,-10}", nameOf(p.bound));
    }
    out << "\n";
  }
  if (whole)
    out << "  * each operand counts once and whole, operations not at all\n";
  out << llvm::formatv("\nA step, predicted: {0} launches for 1 token, {1} for the prompt\n", launchesOf(report, false),
                       launchesOf(report, true));
  out << "  of a graph: replayed by the driver and not launched one by one: a token's step that comes again,\n"
         "  and a prompt's where another had as many tokens\n";
  const char *columns = "  {0,-12} {1,-8} {2,12} {3,9} {4,12} {5,9} {6,12} {7,9} {8,12} {9,10}{10}\n";
  out << llvm::formatv(columns, "machine", "chip", "1 token, us", "tokens/s", "of a graph", "tokens/s", "prompt, us",
                       "tokens/s", "of a graph", "measured", "");
  for (const Machine &m : machines()) {
    const double one = predictStep(report, false, m), many = predictStep(report, true, m);
    const double again = predictStep(report, false, m, true), manyAgain = predictStep(report, true, m, true);
    auto us = [](double seconds) { return llvm::formatv("{0:f1}", seconds * 1e6).str(); };
    auto rate = [](double tokens) { return llvm::formatv("{0:f0}", tokens).str(); };
    out << llvm::formatv(columns, m.name, m.chip, us(one), rate(1 / one), us(again), rate(1 / again), us(many),
                         rate(double(report.many.tokens) / many), us(manyAgain), "never",
                         report.chip == m.chip ? "" : "  of the same dispatches");
  }
  return text;
}

} // namespace stepdown
