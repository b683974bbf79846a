// The report on a plain module as text for people and as JSON for programs.
#include "lib/Explain/Functions.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

namespace stepdown {

using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

static Value knownValue(Known number) { return number ? Value(int64_t(*number)) : Value(nullptr); }
static std::string knownText(Known number) { return number ? std::to_string(*number) : "?"; }

static Object writtenObject(const WrittenOp &op) { return Object{{"op", op.op}, {"place", op.place}}; }

static Known bytesOf(const FunctionOperation &op) {
  return op.read && op.written ? Known(*op.read + *op.written) : std::nullopt;
}

static Object operationObject(const FunctionOperation &op, int64_t id) {
  Array computes, loops;
  for (const WrittenOp &written : op.computes)
    computes.push_back(writtenObject(written));
  for (int64_t size : op.loops)
    loops.push_back(size < 0 ? Value(nullptr) : Value(size));
  const Known bytes = bytesOf(op);
  return Object{{"id", id},
                {"op", op.op},
                {"place", op.place},
                {"computes", std::move(computes)},
                {"loops", std::move(loops)},
                {"times", knownValue(op.times)},
                {"operations_per_point", int64_t(op.perPoint)},
                {"operations", knownValue(op.operations)},
                {"bytes_read", knownValue(op.read)},
                {"bytes_written", knownValue(op.written)},
                {"operations_per_byte",
                 op.operations && bytes && *bytes ? Value(double(*op.operations) / double(*bytes)) : Value(nullptr)}};
}

static Object targetObject(const TargetArrays &target) {
  Array arrays;
  for (const PlacedArray &array : target.arrays)
    arrays.push_back(Object{{"type", array.type},
                            {"where", array.where},
                            {"place", array.place},
                            {"bytes", knownValue(array.bytes)},
                            {"in_loop", array.inLoop}});
  return Object{{"target", target.target},
                {"arrays", std::move(arrays)},
                {"stack_bytes", int64_t(target.stack)},
                {"range_bytes", knownValue(target.range)}};
}

static Object kernelsObject(const TargetKernels &target) {
  Array kernels;
  for (const ExplainedLaunch &kernel : target.kernels)
    kernels.push_back(Object{{"kernel", kernel.name.empty() ? Value(nullptr) : Value(kernel.name)},
                             {"op", kernel.op.op},
                             {"place", kernel.op.place},
                             {"times", knownValue(kernel.times)},
                             {"bytes_read", knownValue(kernel.read)},
                             {"bytes_written", knownValue(kernel.written)}});
  return Object{{"target", target.target}, {"kernels", std::move(kernels)}};
}

std::string toJson(const FunctionExplainer &explained) {
  Array all, left;
  for (const FunctionReport &function : explained.functions) {
    Array operations, edges, targets, kernels;
    for (const FunctionOperation &op : function.operations)
      operations.push_back(operationObject(op, int64_t(operations.size())));
    for (const FunctionEdge &edge : function.edges) {
      Object object{{"producer", edge.producer}, {"reader", writtenObject(edge.reader)}, {"reason", edge.reason}};
      if (edge.consumer >= 0)
        object["consumer"] = edge.consumer;
      edges.push_back(std::move(object));
    }
    for (const TargetArrays &target : function.targets)
      targets.push_back(targetObject(target));
    for (const TargetKernels &target : function.kernels)
      kernels.push_back(kernelsObject(target));
    all.push_back(Object{{"name", function.name},
                         {"operations", std::move(operations)},
                         {"stored", std::move(edges)},
                         {"targets", std::move(targets)},
                         {"kernels", std::move(kernels)},
                         {"total_operations", knownValue(function.totalOperations)}});
  }
  for (const LeftToThreads &target : explained.left)
    left.push_back(Object{{"target", target.target}, {"reasons", Array(target.reasons)}});
  Value root(Object{{"functions", std::move(all)}, {"left_to_threads", std::move(left)}});
  return llvm::formatv("{0:2}\n", root);
}

/// "program.mlir:6:8" as "6:8": a module is one file.
static llvm::StringRef lineOf(llvm::StringRef place) {
  llvm::StringRef file = place.rsplit(':').first.rsplit(':').first;
  return place == "?" ? place : place.drop_front(file.size() + 1);
}

static std::string loopsOf(const FunctionOperation &op) {
  std::string text;
  for (int64_t size : op.loops)
    text += (text.empty() ? "" : " x ") + (size < 0 ? std::string("?") : std::to_string(size));
  return text.empty() ? "-" : text;
}

static std::string nameOf(const FunctionReport &function, int id) {
  const FunctionOperation &op = function.operations[id];
  return llvm::formatv("[{0}] {1} {2}", id, op.op, lineOf(op.place));
}

/// Whether the code of two targets places the same arrays.
static bool same(const TargetArrays &a, const TargetArrays &b) {
  return llvm::equal(a.arrays, b.arrays, [](const PlacedArray &x, const PlacedArray &y) {
    return x.type == y.type && x.where == y.where && x.place == y.place && x.inLoop == y.inLoop;
  });
}

static void writeArrays(llvm::raw_ostream &out, const TargetArrays &arrays, const std::string &targets) {
  out << "  Arrays of the code for " << targets << ", bytes\n";
  for (const PlacedArray &array : arrays.arrays)
    out << llvm::formatv("    {0,-8} {1,-24} {2,14}  {3}{4}\n", array.where, array.type, knownText(array.bytes),
                         lineOf(array.place), array.inLoop ? ", in a loop" : "");
  out << llvm::formatv("    {0,-33} {1,14}\n", "on the stack", arrays.stack);
  out << llvm::formatv("    {0,-33} {1,14}\n", "of the call's range", knownText(arrays.range));
}

static void writeKernels(llvm::raw_ostream &out, const TargetKernels &target) {
  out << llvm::formatv("  {0,-44} {1,-14} {2,6} {3,12} {4,12}\n", "kernels of the code for " + target.target, "of",
                       "times", "read", "written");
  for (const ExplainedLaunch &kernel : target.kernels)
    out << llvm::formatv("    {0,-42} {1,-14} {2,6} {3,12} {4,12}\n",
                         kernel.name.empty() ? kernel.op.op + " (threads)" : kernel.name, lineOf(kernel.op.place),
                         knownText(kernel.times), knownText(kernel.read), knownText(kernel.written));
}

static void writeFunction(llvm::raw_ostream &out, const FunctionReport &function) {
  out << "@" << function.name << "\n";
  out << llvm::formatv("  {0,-28} {1,-22} {2,6} {3,8} {4,14} {5,12} {6,12} {7,7}\n", "operation", "loops", "times",
                       "a point", "operations", "read", "written", "op/B");
  for (size_t i = 0; i < function.operations.size(); ++i) {
    const FunctionOperation &op = function.operations[i];
    const Known bytes = bytesOf(op);
    out << llvm::formatv(
        "  {0,-28} {1,-22} {2,6} {3,8} {4,14} {5,12} {6,12} {7,7}\n", nameOf(function, int(i)), loopsOf(op),
        knownText(op.times), op.perPoint, knownText(op.operations), knownText(op.read), knownText(op.written),
        op.operations && bytes && *bytes ? llvm::formatv("{0:f1}", double(*op.operations) / double(*bytes)).str()
                                         : "?");
    if (op.computes.size() > 1) {
      out << "      fused of ";
      llvm::interleave(op.computes, out, [&](const WrittenOp &w) { out << w.op << " " << lineOf(w.place); }, ", ");
      out << "\n";
    }
  }
  for (const FunctionEdge &edge : function.edges)
    out << llvm::formatv("  {0} -> {1} stored: {2}\n", nameOf(function, edge.producer),
                         edge.consumer >= 0 ? nameOf(function, edge.consumer)
                                            : edge.reader.op + " " + lineOf(edge.reader.place).str(),
                         edge.reason);
  out << "  Operations of a call: " << knownText(function.totalOperations) << "\n";
  for (size_t i = 0; i < function.targets.size(); ++i) {
    if (i && same(function.targets[i], function.targets[i - 1]))
      continue;
    std::string names;
    for (size_t k = i; k < function.targets.size() && same(function.targets[i], function.targets[k]); ++k)
      names += (k == i ? "" : ", ") + function.targets[k].target;
    writeArrays(out, function.targets[i], names);
  }
  for (const TargetKernels &target : function.kernels)
    writeKernels(out, target);
}

std::string toText(const FunctionExplainer &explained) {
  std::string text;
  llvm::raw_string_ostream out(text);
  for (size_t i = 0; i < explained.functions.size(); ++i) {
    out << (i ? "\n" : "");
    writeFunction(out, explained.functions[i]);
  }
  for (const LeftToThreads &target : explained.left) {
    out << "\nLeft to threads on " << target.target << "\n";
    for (const std::string &reason : target.reasons)
      out << "  " << reason << "\n";
  }
  return text;
}

} // namespace stepdown
