// Parameters are replaced in the text, which keeps its lines: what is said about a kernel names the line of its text.
#include "lib/Kernels/KernelText.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;

namespace stepdown {

static constexpr const char kMatmulText[] =
#include "lib/Kernels/Matmul.mlir.inc"
    ;

static constexpr const char kScaledMatmulText[] =
#include "lib/Kernels/ScaledMatmul.mlir.inc"
    ;

static constexpr const char kAttentionText[] =
#include "lib/Kernels/Attention.mlir.inc"
    ;

static constexpr const char kQuantisedMatmulText[] =
#include "lib/Kernels/QuantisedMatmul.mlir.inc"
    ;

static Result<std::string> fill(StringRef text, StringRef name, const std::map<std::string, std::string> &parameters) {
  std::string filled;
  for (size_t line = 1; !text.empty();) {
    const size_t at = text.find("$(");
    filled += text.take_front(at);
    line += text.take_front(at).count('\n');
    if (at == StringRef::npos)
      break;
    const StringRef key = text.drop_front(at + 2).take_until([](char c) { return c == ')'; });
    auto parameter = parameters.find(key.str());
    if (parameter == parameters.end())
      return fail(ErrorCode::KernelText, "%s:%zu: expects a parameter '%s', but there is none", name.str().c_str(),
                  line, key.str().c_str());
    filled += parameter->second;
    text = text.drop_front(at + 2 + key.size() + 1);
  }
  return filled;
}

Result<OwningOpRef<ModuleOp>> parseKernel(MLIRContext &context, StringRef text, StringRef name,
                                          const std::map<std::string, std::string> &parameters) {
  Result<std::string> filled = fill(text, name, parameters);
  if (!filled)
    return filled.error();
  context.loadDialect<tile::TileDialect, transformer::TransformerDialect, arith::ArithDialect, memref::MemRefDialect,
                      math::MathDialect, scf::SCFDialect>();
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    llvm::raw_string_ostream(said) << (said.empty() ? "" : "; ") << diagnostic.getLocation() << ": " << diagnostic;
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(*filled, ParserConfig(&context), name);
  if (!module)
    return fail(ErrorCode::KernelText, "%s: expects a kernel, but %s", name.str().c_str(), said.c_str());
  return module;
}

/// Of a kernel whose block has so many registers, its cluster so many blocks, and its sum so many shares; sm_90's
/// registers are what the verifier takes unsaid.
static std::string attributes(int64_t registerFile, int64_t cluster = 1, int64_t shares = 1) {
  std::string all;
  auto add = [&](const char *name, int64_t number, int64_t unsaid) {
    if (number != unsaid)
      all += (all.empty() ? "" : ", ") + std::string(name) + " = " + std::to_string(number);
  };
  add("tile.register_file", registerFile, 65536);
  add("tile.cluster", cluster, 1);
  add("tile.shares", shares, 1);
  return all.empty() ? "" : " attributes {" + all + "}";
}

static std::map<std::string, std::string> textOf(const MatmulParameters &p) {
  auto text = [](int64_t number) { return std::to_string(number); };
  return {{"attributes", attributes(p.registerFile, p.cluster, p.shares)},
          {"m", text(p.m)},
          {"n", text(p.n)},
          {"k", text(p.k)},
          {"stages", text(p.stages)},
          {"warps", text(p.warps)},
          {"registers", text(p.registers)},
          {"load_registers", text(p.loadRegisters)},
          {"group", text(p.group)},
          {"b_tile", p.transposeB ? text(p.n) + "x" + text(p.k) : text(p.k) + "x" + text(p.n)},
          {"b_place", p.transposeB ? "%j, %l" : "%l, %j"},
          {"transpose_b", p.transposeB ? " {transpose_b}" : ""},
          {"element", p.element},
          {"sum", p.element == "i8" ? "i32" : "f32"},
          {"result", p.result}};
}

Result<OwningOpRef<ModuleOp>> matmulKernel(MLIRContext &context, const MatmulParameters &p) {
  return parseKernel(context, kMatmulText, "Matmul.mlir", textOf(p));
}

Result<OwningOpRef<ModuleOp>> scaledMatmulKernel(MLIRContext &context, const MatmulParameters &p) {
  constexpr int64_t kScaledColumns = 128; // and rows of B, that share a scale
  if (p.k != kScaledColumns || p.n < 1 || kScaledColumns % p.n != 0)
    return fail(ErrorCode::KernelText,
                "ScaledMatmul.mlir: expects slots of %d columns and tiles whose columns divide %d, but got %d and %d",
                int(kScaledColumns), int(kScaledColumns), int(p.k), int(p.n));
  if (!p.transposeB || (p.element != "f8E4M3FN" && p.element != "f8E5M2"))
    return fail(ErrorCode::KernelText,
                "ScaledMatmul.mlir: expects elements of fp8 and B with rows along K, but got %s%s", p.element.c_str(),
                p.transposeB ? "" : " and B with rows along N");
  return parseKernel(context, kScaledMatmulText, "ScaledMatmul.mlir", textOf(p));
}

std::optional<QuantisedMatmulParameters> quantisedMatmulOn(StringRef chip, int64_t tokens) {
  struct Row {
    const char *chip;
    int64_t from; // tokens
    QuantisedMatmulParameters parameters;
  };
  // 128 tokens are read once for each tile of rows, which two warpgroups, or eight warps, share. A wave of AMD's has 16
  // rows and at least as many tokens, whose tiles are those of two turns.
  static const Row table[] = {
      // m, n, stages of weights and of tokens, warps, registers
      {"sm_90a", 1, {64, 8, 4, 8}},   {"sm_90a", 9, {64, 64, 4, 4}},  {"sm_90a", 65, {128, 128, 4, 4, 8, 232}},
      {"sm_80", 1, {64, 8, 4, 8}},    {"sm_80", 9, {64, 64, 2, 4}},   {"sm_80", 65, {128, 128, 2, 4, 8, 232}},
      {"gfx90a", 1, {32, 16, 2, 8}},  {"gfx942", 1, {32, 16, 2, 8}},  {"gfx950", 1, {32, 16, 2, 8}},
      {"gfx1100", 1, {64, 16, 2, 8}}, {"gfx1201", 1, {64, 16, 2, 8}},
  };
  std::optional<QuantisedMatmulParameters> found;
  for (const Row &row : table)
    if (chip == row.chip && row.from <= tokens)
      found = row.parameters;
  return found;
}

Result<OwningOpRef<ModuleOp>> quantisedMatmulKernel(MLIRContext &context, const QuantisedMatmulParameters &p) {
  constexpr int64_t kSlotColumns = 256; // of the weight
  auto text = [](int64_t number) { return std::to_string(number); };
  const int64_t columns = packedBlock(*p.layout, *p.format).columns;
  return parseKernel(
      context, kQuantisedMatmulText, "QuantisedMatmul.mlir",
      {{"m", text(p.m)},
       {"n", text(p.n)},
       {"block", std::string("!transformer.block<") + p.format->name + ", rows = " + text(p.layout->rows) + ">"},
       {"tiles", text(p.m / p.layout->rows)},
       {"blocks", text(kSlotColumns / columns)},
       {"tile_rows", text(p.layout->rows)},
       {"block_columns", text(columns)},
       {"weight_stages", text(p.weightStages)},
       {"token_stages", text(p.tokenStages)},
       {"warps", text(p.warps)},
       {"registers", text(p.registers)},
       {"load_registers", text(p.loadRegisters)},
       {"group", text(p.group)},
       {"addend", p.addend ? "%r: !matrix, " : ""},
       {"read", p.addend ? "%addend = tile.read %r[%j, %i] {transposed} : !matrix -> !sums" : ""},
       {"and_addend", p.addend ? ", %a = %addend" : ""},
       {"and_sums", p.addend ? ", !sums" : ""},
       {"result", p.addend ? "%added = arith.addf %a, %z : f32 tile.yield %added : f32" : "tile.yield %z : f32"}});
}

/// A float constant's text: all digits of a float32.
static std::string real(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9e", number);
  return text;
}

Result<OwningOpRef<ModuleOp>> attentionKernel(MLIRContext &context, const AttentionParameters &p) {
  if (!(p.scale > 0))
    return fail(ErrorCode::KernelText, "Attention.mlir: expects a positive scale, but got %g", p.scale);
  // Weights are powers of two: the logarithm's base is one factor with the scale.
  const double log2e = 1.4426950408889634;
  std::string cap = "tile.yield %x : f32", band;
  if (p.cap > 0)
    cap = "%inner = arith.constant " + real(p.scale / p.cap) + " : f32 %y = arith.mulf %x, %inner : f32 " +
          "%z = math.tanh %y : f32 tile.yield %z : f32";
  if (p.left < AttentionParameters::kUnbounded)
    band += "from %from ";
  if (p.right < AttentionParameters::kUnbounded)
    band += "below %below";
  std::string addSink = "tile.yield %l : f32";
  if (p.sinks)
    addSink = "%log2e = arith.constant " + real(log2e) + " : f32 %power = math.fma %s, %log2e, %y : f32 " +
              "%e = math.exp2 %power : f32 %z = arith.addf %l, %e : f32 tile.yield %z : f32";
  auto text = [](int64_t number) { return std::to_string(number); };
  const std::string headsOfAKey = p.headsOfAKey ? "arith.constant " + text(p.headsOfAKey) + " : index"
                                                : "arith.divui %columns, %key_columns : index";
  return parseKernel(context, kAttentionText, "Attention.mlir",
                     {{"attributes", attributes(p.registerFile)},
                      {"m", text(p.m)},
                      {"n", text(p.n)},
                      {"d", text(p.d)},
                      {"stages", text(p.stages)},
                      {"warps", text(p.warps)},
                      {"registers", text(p.registers)},
                      {"load_registers", text(p.loadRegisters)},
                      {"group", text(p.group)},
                      {"heads_of_a_key", headsOfAKey},
                      {"first_value", text(p.firstValue)},
                      {"scale", real((p.cap > 0 ? p.cap : p.scale) * log2e)},
                      {"cap", cap},
                      {"base", p.element == "f16" ? "%power = arith.constant 12.0 : f32 "
                                                    "%z = math.fma %x, %minus_scale, %power : f32"
                                                  : "%z = arith.mulf %x, %minus_scale : f32"},
                      {"band", band},
                      {"sinks", p.sinks ? "%sinks: memref<?x?xf32>, " : ""},
                      {"read_sink", p.sinks ? "%head = arith.divui %column, %width : index "
                                              "%sink = tile.read %sinks[%0, %head] : memref<?x?xf32> -> vector<1x1xf32>"
                                            : ""},
                      {"and_sink", p.sinks ? ", %s = %sink" : ""},
                      {"and_number", p.sinks ? ", vector<1x1xf32>" : ""},
                      {"add_sink", addSink},
                      {"from", text(-p.left)},
                      {"below", text(p.right + 1)},
                      {"element", p.element},
                      {"result", p.result}});
}

std::vector<int32_t> attentionTiles(const AttentionParameters &p, ArrayRef<AttentionSequence> batch) {
  std::vector<int32_t> table;
  for (const AttentionSequence &each : batch) {
    const int64_t end = each.firstKey + each.keys;
    for (int64_t i = 0; i < each.queries; i += p.m) {
      const int64_t key = end - each.queries + i; // of query i
      const int64_t first = std::max(each.firstKey, key - p.left);
      // A tile that sees nothing goes through one key, which its mask excludes.
      const int64_t last = std::max(std::min(end, key + std::min(p.m, each.queries - i) + p.right), first + 1);
      for (int64_t number : {each.firstQuery + i, each.firstQuery + each.queries, first, last, key})
        table.push_back(int32_t(number));
    }
  }
  return table;
}

} // namespace stepdown
