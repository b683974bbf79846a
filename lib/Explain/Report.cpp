// The report as text for people and as JSON for programs.
#include "lib/Explain/Report.h"
#include "include/stepdown/CacheDims.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

namespace stepdown {

using llvm::json::Array;
using llvm::json::Object;

uint64_t MemoryPlan::bytesPerToken() const {
  uint64_t sum = 0;
  for (const CacheGroupPlan &group : groups)
    sum += group.bytesPerToken();
  return sum;
}

MemoryPlan memoryPlan(const BuiltProgram &program, uint64_t weightBytes) {
  MemoryPlan plan;
  plan.weights = weightBytes;
  plan.activations = program.header.arena_bytes;
  plan.largestStep = program.header.max_step_tokens;
  // As a session has them: rows in whole tiles of the largest bucket, each in whole vectors.
  uint64_t tile = 1;
  for (const stepdown_bucket &bucket : program.buckets)
    tile = std::max<uint64_t>(tile, bucket.tile);
  plan.logits = llvm::alignTo(program.header.max_step_rows, tile) * program.header.logits_stride * sizeof(float);
  plan.inputs = 4 * llvm::alignTo(llvm::alignTo(plan.largestStep, tile) * sizeof(int32_t), program.alignment);
  auto words = [&](const stepdown_run &run) {
    uint64_t sum = 0;
    for (uint32_t i = run.first_dispatch; i < run.first_dispatch + run.dispatch_count; ++i)
      for (uint32_t k = 0; k < program.dispatches[i].operand_count; ++k)
        sum += 1 + program.operands[program.dispatches[i].first_operand + k].rank;
    return sum;
  };
  plan.operands = words({program.header.entry_first, program.header.entry_count}) +
                  words({program.header.exit_first, program.header.exit_count});
  for (const stepdown_layer &layer : program.layers)
    plan.operands += words(program.kinds[layer.kind]);
  plan.operands *= sizeof(uint64_t);
  plan.positions = program.header.max_context;
  for (const stepdown_cache_group &g : program.groups)
    plan.groups.push_back({g.layers, g.kv_heads, stepdown_cached_channels(g.element, g.key_dim),
                           stepdown_cached_channels(g.element, g.value_dim), g.window, stepdown_cached_name(g.element),
                           (uint64_t(g.key_dim) + g.value_dim) * stepdown_cached_bytes(g.element)});
  return plan;
}

static Object memoryObject(const MemoryPlan &plan) {
  Array groups;
  for (const CacheGroupPlan &g : plan.groups)
    groups.push_back(Object{{"layers", int64_t(g.layers)},
                            {"kv_heads", int64_t(g.heads)},
                            {"key_dim", int64_t(g.key)},
                            {"value_dim", int64_t(g.value)},
                            {"window", int64_t(g.window)},
                            {"element", g.element},
                            {"head_bytes", int64_t(g.headBytes)},
                            {"kv_bytes_per_token", int64_t(g.bytesPerToken())}});
  return Object{{"weight_bytes", int64_t(plan.weights)},   {"activation_bytes", int64_t(plan.activations)},
                {"logits_bytes", int64_t(plan.logits)},    {"input_bytes", int64_t(plan.inputs)},
                {"operand_bytes", int64_t(plan.operands)}, {"largest_step_tokens", int64_t(plan.largestStep)},
                {"max_context", int64_t(plan.positions)},  {"kv_bytes_per_token", int64_t(plan.bytesPerToken())},
                {"cache_groups", std::move(groups)}};
}

/// "[4] linear_2": kernels of one name are dispatches of the same code.
static std::string kernelName(const FusionReport &report, int index) {
  const ExplainedKernel &kernel = report.kernels[index];
  return llvm::formatv("[{0}] {1}", index, kernel.name.empty() ? kernel.label : kernel.name);
}

static Object opObject(const ExplainedOp &op) {
  Object out{{"op", op.op}, {"name", op.name}};
  if (op.kernel >= 0)
    out["kernel"] = op.kernel;
  return out;
}

static Object trafficObject(const KernelTraffic &t) {
  const uint64_t bytes = t.read + t.written;
  return Object{{"tokens", int64_t(t.tokens)},
                {"bytes_read", int64_t(t.read)},
                {"bytes_written", int64_t(t.written)},
                {"operations", int64_t(t.operations)},
                {"operations_per_byte", bytes ? double(t.operations) / double(bytes) : 0.0}};
}

std::string toJson(const MemoryPlan &plan) { return llvm::formatv("{0}", llvm::json::Value(memoryObject(plan))); }

std::string toJson(const FusionReport &report, const MemoryPlan &plan, const std::vector<std::string> &devices) {
  Array edges, kernels;
  for (const ExplainedEdge &e : report.edges) {
    Object edge{{"function", e.function},
                {"producer", opObject(e.producer)},
                {"consumer", opObject(e.consumer)},
                {"fused", e.fused}};
    if (e.fused)
      edge["kernel"] = e.consumer.kernel;
    else
      edge["reason"] = e.reason;
    if (e.packingKernel >= 0) {
      Object packing{{"kernel", e.packingKernel}};
      if (!e.packingReason.empty())
        packing["reason"] = e.packingReason;
      edge["packing"] = std::move(packing);
    }
    edges.push_back(std::move(edge));
  }
  for (const ExplainedKernel &k : report.kernels)
    kernels.push_back(Object{{"id", int64_t(kernels.size())},
                             {"function", k.function},
                             {"label", k.label},
                             {"name", k.name},
                             {"times", int64_t(k.times)},
                             {"by_rows", k.byRows},
                             {"one_token", trafficObject(k.one)},
                             {"prompt", trafficObject(k.many)}});
  Object all{{"edges", std::move(edges)}, {"memory_plan", memoryObject(plan)}, {"kernels", std::move(kernels)}};
  if (!devices.empty()) {
    Array dispatches;
    for (const std::string &device : devices)
      dispatches.push_back(llvm::cantFail(llvm::json::parse(device)));
    all["devices"] = std::move(dispatches);
  }
  llvm::json::Value root(std::move(all));
  return llvm::formatv("{0:2}\n", root);
}

static std::string describe(const ExplainedOp &op) {
  if (op.name.empty())
    return "the layer before";
  llvm::StringRef name = op.name;
  name.consume_front("blk.{layer}.");
  return llvm::formatv("{0} ({1})", name, op.op);
}

std::string toText(const FusionReport &report, const MemoryPlan &plan) {
  std::string text;
  llvm::raw_string_ostream out(text);
  size_t fused = 0;
  for (const ExplainedEdge &e : report.edges)
    fused += e.fused;
  out << llvm::formatv("Fusion: {0} edges, {1} fused\n", report.edges.size(), fused);
  std::string function;
  for (const ExplainedEdge &e : report.edges) {
    if (e.function != function)
      out << "  @" << (function = e.function) << "\n";
    out << llvm::formatv("    {0,-34} -> {1,-34} ", describe(e.producer), describe(e.consumer));
    if (e.fused)
      out << "fused in " << kernelName(report, e.consumer.kernel);
    else
      out << "not fused: " << e.reason;
    if (e.packingKernel >= 0 && e.packingKernel == e.producer.kernel && !e.fused)
      out << "; its blocks are packed in " << kernelName(report, e.packingKernel);
    if (!e.packingReason.empty())
      out << "; packed apart: " << e.packingReason;
    out << "\n";
  }
  out << "\nMemory plan, bytes\n";
  out << llvm::formatv("  {0,-44} {1,14}\n", "weights", plan.weights);
  out << llvm::formatv("  {0,-44} {1,14}\n",
                       llvm::formatv("activations, steps of up to {0} tokens", plan.largestStep).str(),
                       plan.activations);
  out << llvm::formatv("  {0,-44} {1,14}\n", llvm::formatv("logits, up to {0} rows", plan.largestStep).str(),
                       plan.logits);
  out << llvm::formatv("  {0,-44} {1,14}\n", "tokens, positions, sequences, rows of a step", plan.inputs);
  out << llvm::formatv("  {0,-44} {1,14}\n", "operands of a step's launches", plan.operands);
  for (const CacheGroupPlan &g : plan.groups)
    out << llvm::formatv("  {0,-44} {1,14}\n",
                         llvm::formatv("KV a token: {0} layers x {1} heads x ({2} + {3}) {4}{5}", g.layers, g.heads,
                                       g.key, g.value, g.element,
                                       g.window ? llvm::formatv(", window {0}", g.window).str() : "")
                             .str(),
                         g.bytesPerToken());
  out << llvm::formatv("  {0,-44} {1,14}\n", "KV a token, all layers", plan.bytesPerToken());

  const uint64_t many = report.kernels.empty() ? 0 : report.kernels.front().many.tokens;
  out << llvm::formatv("\nRoofline: a dispatch for 1 token behind {0} others, and for a prompt of {1}\n",
                       many ? many - 1 : 0, many);
  out << llvm::formatv("  {0,-10} {1,-22} {2,5} {3,12} {4,12} {5,14} {6,7} {7,12} {8,12} {9,16} {10,7}\n", "function",
                       "kernel", "times", "read", "written", "operations", "op/B", "read", "written", "operations",
                       "op/B");
  for (size_t i = 0; i < report.kernels.size(); ++i) {
    const ExplainedKernel &k = report.kernels[i];
    out << llvm::formatv("  {0,-10} {1,-22} {2,5}", k.function, kernelName(report, i), k.times);
    for (const KernelTraffic *t : {&k.one, &k.many}) {
      const double bytes = double(t->read + t->written);
      out << llvm::formatv(" {0,12} {1,12} {2,14} {3,7:f1}", t->read, t->written, t->operations,
                           bytes ? double(t->operations) / bytes : 0.0);
    }
    out << "\n";
  }
  return text;
}

} // namespace stepdown
