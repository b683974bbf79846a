// Parameters are replaced in the text, which keeps its lines: what is said about a kernel names the line of its text.
#include "lib/Kernels/KernelText.h"
#include "dialects/Tile/IR/TileOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;

namespace stepdown {

static constexpr const char kMatmulText[] =
#include "lib/Kernels/Matmul.mlir.inc"
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
  context.loadDialect<tile::TileDialect, arith::ArithDialect, memref::MemRefDialect, scf::SCFDialect>();
  std::string said;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    llvm::raw_string_ostream(said) << (said.empty() ? "" : "; ") << diagnostic.getLocation() << ": " << diagnostic;
  });
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(*filled, ParserConfig(&context), name);
  if (!module)
    return fail(ErrorCode::KernelText, "%s: expects a kernel, but %s", name.str().c_str(), said.c_str());
  return module;
}

Result<OwningOpRef<ModuleOp>> matmulKernel(MLIRContext &context, const MatmulParameters &p) {
  auto text = [](int64_t number) { return std::to_string(number); };
  return parseKernel(context, kMatmulText, "Matmul.mlir",
                     {{"m", text(p.m)},
                      {"n", text(p.n)},
                      {"k", text(p.k)},
                      {"stages", text(p.stages)},
                      {"warps", text(p.warps)},
                      {"registers", text(p.registers)},
                      {"load_registers", text(p.loadRegisters)},
                      {"group", text(p.group)},
                      {"element", p.element},
                      {"result", p.result}});
}

} // namespace stepdown
