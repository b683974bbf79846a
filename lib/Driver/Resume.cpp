// Going on from printed IR. Of a plain module the IR and its record are all there is. A model needs its checkpoint for
// the weights, and its step program is read from the functions that the packing phase leaves: behind that phase the
// kernels come from the IR, and the program from the checkpoint, once more through the phases up to packing. Who
// changed the program in between is told, since the change would be lost.
//
// IR carries the places of what it was made from. What is wrong with the text itself is told by its own lines, so those
// stand in while it is verified.
#include "dialects/Transformer/IR/TransformerOps.h"
#include "lib/Base/MappedFile.h"
#include "lib/Base/Suggestion.h"
#include "lib/Driver/Compilation.h"
#include "lib/Driver/PrintedModule.h"
#include "lib/Frontend/PlainModule.h"
#include "lib/Pipeline/Contract.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/AsmParser/AsmParserState.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace stepdown {

Result<std::string> Compilation::print(const Phase &phase) {
  PrintedRecord record;
  record.phase = phase.name;
  record.plain = road->input == Input::Functions;
  record.source = source;
  record.functions = functions;
  record.exact = options.exact;
  record.kvType = options.kvType;
  record.activations = options.activations;
  record.maxContext = options.maxContext;
  if (Status status = lower(phase); !status)
    return status.error();
  if (road->isShared(phase))
    return printModule(*module, record);
  record.target = targets.back()->name;
  Result<OwningOpRef<ModuleOp>> lowered = lowerFor(*targets.back(), phase);
  if (!lowered)
    return lowered.error();
  return printModule(**lowered, record);
}

namespace {

/// Printed IR while it is read: its operations are known by their lines.
class PrintedText {
public:
  PrintedText(MLIRContext &context, StringRef text, StringRef name) : context(context) {
    sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBuffer(text, name), SMLoc());
  }

  /// The one module of the text, verified; E0833.
  Result<OwningOpRef<ModuleOp>> read() {
    FirstError error(context);
    Block block;
    AsmParserState state;
    const ParserConfig config(&context, /*verifyAfterParse=*/false);
    if (failed(parseAsmSourceFile(sources, &block, config, &state)))
      return fail(ErrorCode::ModuleSyntax, "%s", error.text.c_str());
    auto module = llvm::hasSingleElement(block) ? dyn_cast<ModuleOp>(block.front()) : ModuleOp();
    if (!module)
      return fail(ErrorCode::PrintedModule, "%s: expects one module, as --compile-to prints it", name().c_str());
    module->remove();
    OwningOpRef<ModuleOp> owned(module);
    place = placeOf(lineOf(state, module));
    module->walk([&](Operation *op) {
      places.push_back({op, op->getLoc()});
      op->setLoc(lineOf(state, op));
    });
    if (failed(verify(module)))
      return fail(ErrorCode::ModuleSyntax, "%s", error.text.c_str());
    return std::move(owned);
  }

  /// E0855 where `module` holds what `phase` does not leave.
  Status check(ModuleOp module, const Road &road, const Phase &phase) {
    FirstError error(context);
    PassManager manager(&context);
    manager.addPass(createContractCheck(road, phase));
    if (failed(manager.run(module)))
      return fail(ErrorCode::PrintedModule, "%s", error.text.c_str());
    return Done{};
  }

  /// Gives operations the places back that the text says.
  void restore() {
    for (auto [op, loc] : places)
      op->setLoc(loc);
  }

  std::string place; ///< of the module

private:
  struct FirstError {
    explicit FirstError(MLIRContext &context)
        : handler(&context, [this](Diagnostic &diagnostic) {
            if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
              text = placeOf(diagnostic.getLocation()) + ": " + diagnostic.str();
            return success();
          }) {}
    std::string text;
    ScopedDiagnosticHandler handler;
  };

  std::string name() const { return sources.getMemoryBuffer(1)->getBufferIdentifier().str(); }

  Location lineOf(const AsmParserState &state, Operation *op) {
    const AsmParserState::OperationDefinition *definition = state.getOpDef(op);
    if (!definition)
      return UnknownLoc::get(&context);
    const auto [line, column] = sources.getLineAndColumn(definition->loc.Start);
    return FileLineColLoc::get(&context, name(), line, column);
  }

  MLIRContext &context;
  llvm::SourceMgr sources;
  std::vector<std::pair<Operation *, Location>> places;
};

} // namespace

Status Compilation::openPrinted() {
  if (!llvm::is_contained(phaseNames(), options.from))
    return fail(ErrorCode::CompileOption, "expects a phase of --compile-to=help for --compile-from, but got '%s'%s",
                options.from.c_str(), suggestion(options.from, phaseNames()).c_str());
  const double start = compileClock();
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  const std::string bytes(reinterpret_cast<const char *>(file->data()), file->size());
  PrintedText text(context, bytes, path);
  Result<OwningOpRef<ModuleOp>> read = text.read();
  if (!read)
    return read.error();
  module = std::move(*read);
  if (Status entered = enter((*module)->hasAttr(transformer::kPlainAttr) ? Input::Functions : Input::Model); !entered)
    return entered;
  from = done = road->find(options.from);
  if (!from)
    return fail(ErrorCode::PrintedModule, "%s: expects IR of a phase that a %s goes through, but got that of '%s'",
                path.c_str(), road->unit, options.from.c_str());
  if (from >= road->find(road->input == Input::Model ? "fusion" : "linalg"))
    remarks.missFusion();
  if (Status status = text.check(*module, *road, *from); !status)
    return status;
  if (Status known = checkDevices(); !known)
    return known;
  text.restore();
  Result<PrintedRecord> record = takeRecord(*module, from->name, text.place);
  if (!record)
    return record.error();
  source = record->source;
  functions = record->functions;
  options.exact = record->exact;
  options.kvType = record->kvType;
  options.activations = record->activations;
  options.maxContext = record->maxContext;
  if (record->edited)
    edited = {from->name, sourceOf(path, bytes)};
  report.seconds.push_back({"read", compileClock() - start});
  if (road->isShared(*from)) {
    if (from <= road->find("packing")) // behind it the checkpoint tells
      addTargetsOfBFloats();
    return Done{};
  }
  const Target *only = findTarget(record->target);
  if (!only)
    return fail(ErrorCode::PrintedModule, "%s: %s: expects the target of a phase that runs for each, but got '%s'",
                path.c_str(), transformer::kCompiledAttr.str().c_str(), record->target.c_str());
  if (!options.targets.empty() && !llvm::is_contained(targets, only))
    return fail(ErrorCode::CompileOption, "%s: expects --target=%s, which the IR was made for, or none", path.c_str(),
                only->name);
  targets = {only};
  return Done{};
}

Status Compilation::openWeights() {
  if (road->input == Input::Functions)
    return Done{};
  if (options.weights.empty())
    return fail(ErrorCode::CompileOption, "%s: expects --weights MODEL, the checkpoint that the IR was printed of",
                path.c_str());
  Status opened = readCheckpoint(options.weights);
  if (Status status = opened ? checkText() : opened; !status)
    return status;
  if (from <= road->find("packing"))
    return Done{};
  resumed = std::move(module);
  return buildCheckpoint();
}

/// Exchanges what the checkpoint gave for the printed IR, which must run the same program.
Status Compilation::takeKernels() {
  if (!resumed)
    return Done{};
  auto programOf = [](ModuleOp whole) {
    SmallVector<Operation *> program;
    for (Operation &op : *whole.getBody())
      if (!isa<ModuleOp>(op))
        program.push_back(&op);
    return program;
  };
  const auto given = programOf(*resumed), built = programOf(*module);
  auto same = [](Operation *a, Operation *b) {
    return OperationEquivalence::isEquivalentTo(a, b, OperationEquivalence::IgnoreLocations);
  };
  if (given.size() != built.size() || !llvm::all_of_zip(given, built, same) ||
      (*resumed)->getDiscardableAttrDictionary() != (*module)->getDiscardableAttrDictionary())
    return fail(ErrorCode::PrintedProgram,
                "%s: expects the step program that %s has after the packing phase, but the "
                "functions of the module differ",
                path.c_str(), options.weights.c_str());
  module = std::move(resumed);
  done = from;
  return lower(road->phases.back());
}

} // namespace stepdown
