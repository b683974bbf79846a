// One LLVM module and one LLVM context for each kernel function: functions then compile in parallel without sharing
// anything, a message can always name its function, and the bytes cannot depend on how many threads there were.
// Translation reads the one MLIR context and takes turns; optimisation and code generation do not.
//
// A kernel calls nothing. Three things in LLVM would make it call memcpy, memset or libm all the same: passes that
// recognise loops (told that no library function exists), intrinsics that expand to calls (expanded to loops below),
// and the selection of instructions for what the target lacks (found by the linker, which refuses it).
#include "lib/CodeGen/CodeGenerator.h"
#include "lib/Base/PartFile.h"
#include "lib/CodeGen/Backend.h"
#include "lib/CodeGen/CodeStore.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include "llvm/Transforms/Utils/LowerMemIntrinsics.h"
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

using namespace mlir;

namespace stepdown {
namespace {
// Longest memset or memcpy that instruction selection still writes out as stores.
constexpr uint64_t kInlineBytes = 128;

// Functions arrive inlined, vectorised, and unrolled to the register file. What is left for LLVM is what lowering
// leaves behind: addresses said twice, stores and loads of one place, arithmetic that does not change in a loop. These
// passes once make code as short as all of O3 does, in two fifths of its time; without vector-combine it has a tenth
// more spills (docs/performance.md).
constexpr llvm::StringLiteral kPasses =
    "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,loop-mssa(loop-rotate,licm),"
    "loop(indvars,loop-deletion),gvn,vector-combine,simplifycfg)";

// What a function is called for LLVM while code is kept: kernels that differ in their names alone are one.
constexpr char kKept[] = "stepdown.kept";

/// A module with `function` and whatever it refers to: globals with their contents, other functions as declarations.
OwningOpRef<ModuleOp> isolate(ModuleOp kernels, LLVM::LLVMFuncOp function) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(function.getLoc());
  SymbolTable from(kernels), to(*module);
  SmallVector<Operation *> work = {function->clone()};
  to.insert(work.front());
  while (!work.empty()) {
    auto uses = SymbolTable::getSymbolUses(work.pop_back_val());
    if (!uses)
      continue;
    for (SymbolTable::SymbolUse use : *uses) {
      Operation *symbol = from.lookup(use.getSymbolRef().getRootReference());
      if (!symbol || to.lookup(use.getSymbolRef().getRootReference()))
        continue;
      Operation *copy = symbol->clone();
      if (auto other = dyn_cast<LLVM::LLVMFuncOp>(copy)) {
        other.getBody().getBlocks().clear();
        other.setLinkage(LLVM::Linkage::External);
      } else if (auto global = dyn_cast<LLVM::GlobalOp>(copy);
                 global && global.getLinkage() != LLVM::Linkage::External) {
        global.setLinkage(LLVM::Linkage::Internal); // each function that reads it has its own
      }
      to.insert(copy);
      work.push_back(copy);
    }
  }
  return module;
}

/// Whether the functions differ in nothing but their names, as the variants of a kernel for two buckets with one tile
/// do.
bool sameCode(LLVM::LLVMFuncOp a, LLVM::LLVMFuncOp b) {
  if (a.getFunctionType() != b.getFunctionType() || !llvm::hasSingleElement(a->getRegions()))
    return false;
  for (NamedAttribute attribute : a->getAttrs())
    if (attribute.getName() != a.getSymNameAttrName() && b->getAttr(attribute.getName()) != attribute.getValue())
      return false;
  return a->getAttrs().size() == b->getAttrs().size() &&
         OperationEquivalence::isRegionEquivalentTo(&a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

void setAttributes(llvm::Module &module, const llvm::TargetMachine &machine) {
  module.setTargetTriple(machine.getTargetTriple());
  module.setDataLayout(machine.createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::GlobalValue &value : module.global_values())
    value.setDSOLocal(true); // one block: no table of addresses between its parts
  for (llvm::Function &function : module) {
    if (function.isIntrinsic())
      continue;
    function.setDoesNotThrow();
    function.addFnAttr("frame-pointer", "none");
    function.addFnAttr("no-builtins");
    function.addFnAttr("target-cpu", machine.getTargetCPU());
    function.addFnAttr("target-features", machine.getTargetFeatureString());
  }
}

/// Loops instead of calls. The optimiser runs first: it removes or shrinks most of these.
void expandMemoryIntrinsics(llvm::Module &module, llvm::TargetMachine &machine) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    llvm::SmallVector<llvm::MemIntrinsic *> found;
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *memory = llvm::dyn_cast<llvm::MemIntrinsic>(&instruction)) {
        auto *length = llvm::dyn_cast<llvm::ConstantInt>(memory->getLength());
        if (!length || length->getZExtValue() > kInlineBytes)
          found.push_back(memory);
      }
    const llvm::TargetTransformInfo costs = machine.getTargetTransformInfo(function);
    for (llvm::MemIntrinsic *memory : found) {
      if (auto *set = llvm::dyn_cast<llvm::MemSetInst>(memory))
        llvm::expandMemSetAsLoop(set);
      else if (auto *copy = llvm::dyn_cast<llvm::MemCpyInst>(memory))
        llvm::expandMemCpyAsLoop(copy, costs);
      else if (!llvm::expandMemMoveAsLoop(llvm::cast<llvm::MemMoveInst>(memory), costs))
        continue;
      memory->eraseFromParent();
    }
  }
}

/// Selects instructions and writes them as an object or as assembly; changes `module`. False: the target cannot.
bool emit(llvm::Module &module, llvm::TargetMachine &machine, const llvm::TargetLibraryInfoImpl &library,
          llvm::CodeGenFileType type, llvm::raw_pwrite_stream &stream) {
  llvm::legacy::PassManager passes;
  passes.add(new llvm::TargetLibraryInfoWrapperPass(library));
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type))
    return false;
  passes.run(module);
  return true;
}

/// Generates one function after another, as a member of a team of threads.
class Generator {
public:
  Generator(ModuleOp kernels, const Target &target, std::function<void(int, int)> progress, std::string dump)
      : kernels(kernels), target(target), progress(std::move(progress)), dump(std::move(dump)),
        store(this->dump.empty() ? CodeStore::ofEnvironment() : CodeStore("")) {
    for (auto function : kernels.getOps<LLVM::LLVMFuncOp>()) {
      if (function.isExternal())
        continue;
      auto same = llvm::find_if(functions, [&](LLVM::LLVMFuncOp other) { return sameCode(function, other); });
      if (same == functions.end())
        functions.push_back(function);
      else
        twins.push_back({function, *same});
    }
    objects.resize(functions.size());
    milliseconds.resize(functions.size());
    failures.resize(functions.size());
  }

  Status openStore() const { return store.open(); }

  void work() {
    Result<std::unique_ptr<llvm::TargetMachine>> machine = nativeMachine(
        target.name, target.architecture, target.processor, target.features, llvm::CodeGenOptLevel::Aggressive);
    for (;;) {
      // Declared in this order: the module refers to its context, and both die before the next turn.
      llvm::LLVMContext context;
      std::unique_ptr<llvm::Module> module;
      size_t index;
      {
        std::lock_guard<std::mutex> turn(mutex);
        if (failed || next == functions.size())
          return;
        index = next++;
        Status status = machine ? translate(index, context, module) : Status(machine.error());
        if (!status) {
          fail(index, status.error());
          return;
        }
      }
      const auto start = std::chrono::steady_clock::now();
      Status status = store.isOpen() ? take(index, **machine, *module) : compile(index, **machine, *module);
      const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
      std::lock_guard<std::mutex> turn(mutex);
      milliseconds[index] = spent.count();
      if (!status)
        fail(index, status.error());
      else if (++done; progress)
        progress(done, static_cast<int>(functions.size()));
    }
  }

  Result<NativeCode> link() {
    // Functions are taken in order, so the first failure in order is the same whatever the number of threads.
    for (std::optional<Error> &failure : failures)
      if (failure)
        return std::move(*failure);
    ObjectLinker linker;
    for (size_t i = 0; i < functions.size(); ++i) {
      auto buffer = std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(objects[i]), false);
      if (Status status =
              linker.add(functions[i].getSymName().str(), std::move(buffer), store.isOpen() ? kKept : std::string());
          !status)
        return status.error();
    }
    Result<NativeCode> code = linker.link();
    if (!code)
      return code;
    for (size_t i = 0; i < functions.size(); ++i)
      if (auto at = code->statistics.find(functions[i].getSymName().str()); at != code->statistics.end())
        at->second.milliseconds = milliseconds[i];
    for (auto [function, twin] : twins)
      if (auto at = code->entries.find(twin.getSymName().str()); at != code->entries.end()) {
        code->entries[function.getSymName().str()] = at->second;
        code->statistics[function.getSymName().str()] = code->statistics[at->first];
      }
    return code;
  }

private:
  void fail(size_t index, Error error) {
    failed = true;
    failures[index] = std::move(error);
  }

  Status translate(size_t index, llvm::LLVMContext &context, std::unique_ptr<llvm::Module> &module) {
    const std::string name = functions[index].getSymName().str();
    std::string reasons;
    ScopedDiagnosticHandler handler(kernels.getContext(), [&](Diagnostic &diagnostic) {
      reasons += (reasons.empty() ? "" : "; ") + diagnostic.str();
      return success();
    });
    OwningOpRef<ModuleOp> alone = isolate(kernels, functions[index]);
    module = translateModuleToLLVMIR(*alone, context, store.isOpen() ? kKept : name);
    if (!module)
      return stepdown::fail(ErrorCode::CodeTranslation, "%s: expects operations of the LLVM dialect: %s", name.c_str(),
                            reasons.c_str());
    if (!store.isOpen() || name == kKept)
      return Done{};
    if (llvm::GlobalValue *taken = module->getNamedValue(kKept))
      taken->setName(name + ".other");
    module->getFunction(name)->setName(kKept);
    return Done{};
  }

  /// The object that was made of this before, or makes and keeps it.
  Status take(size_t index, llvm::TargetMachine &machine, llvm::Module &module) {
    llvm::SmallString<0> bitcode; // with the order of uses: passes go by it
    llvm::raw_svector_ostream stream(bitcode);
    llvm::WriteBitcodeToFile(module, stream, /*ShouldPreserveUseListOrder=*/true);
    const std::string key =
        store.keyOf({"object", target.name, target.architecture, target.processor, target.features, bitcode});
    if (std::optional<llvm::SmallVector<char, 0>> kept = store.find(key)) {
      objects[index] = std::move(*kept);
      return Done{};
    }
    Status made = compile(index, machine, module);
    if (made)
      store.keep(key, llvm::StringRef(objects[index].data(), objects[index].size()));
    return made;
  }

  Status compile(size_t index, llvm::TargetMachine &machine, llvm::Module &module) {
    const std::string name = functions[index].getSymName().str();
    std::string reasons;
    module.getContext().setDiagnosticHandlerCallBack(
        [](const llvm::DiagnosticInfo *info, void *out) {
          if (info->getSeverity() != llvm::DS_Error)
            return;
          llvm::raw_string_ostream stream(*static_cast<std::string *>(out));
          llvm::DiagnosticPrinterRawOStream printer(stream);
          info->print(printer);
        },
        &reasons);
    setAttributes(module, machine);
    llvm::TargetLibraryInfoImpl library(machine.getTargetTriple());
    library.disableAllFunctions();
    optimise(module, machine, kPasses, &library);
    expandMemoryIntrinsics(module, machine);
    if (Status status = writeTexts(name, module, machine, library); !status)
      return status;
    llvm::raw_svector_ostream stream(objects[index]);
    if (!emit(module, machine, library, llvm::CodeGenFileType::ObjectFile, stream))
      return stepdown::fail(ErrorCode::CodeRefused, "%s: expects a target that writes objects", name.c_str());
    for (size_t at = 0; store.isOpen() && (at = reasons.find(kKept, at)) != std::string::npos; at += name.size())
      reasons.replace(at, std::strlen(kKept), name);
    if (!reasons.empty())
      return stepdown::fail(ErrorCode::CodeRefused, "%s: expects code that %s can execute: %s", name.c_str(),
                            target.name, reasons.c_str());
    return Done{};
  }

  /// The optimised LLVM IR and the assembly, where somebody wants to read them.
  Status writeTexts(const std::string &name, const llvm::Module &module, llvm::TargetMachine &machine,
                    const llvm::TargetLibraryInfoImpl &library) {
    if (dump.empty())
      return Done{};
    const std::string path = dump + "/" + name + "." + target.name;
    llvm::SmallString<0> text;
    llvm::raw_svector_ostream stream(text);
    module.print(stream, nullptr);
    if (Status written = writeFile(path + ".ll", text.str()); !written)
      return written;
    text.clear();
    emit(*llvm::CloneModule(module), machine, library, llvm::CodeGenFileType::AssemblyFile, stream);
    return writeFile(path + ".s", text.str());
  }

  ModuleOp kernels;
  const Target &target;
  std::function<void(int, int)> progress;
  const std::string dump;                  // folder or empty
  const CodeStore store;                   // closed where somebody wants to read what is made
  std::vector<LLVM::LLVMFuncOp> functions; // no two of them the same
  std::vector<std::pair<LLVM::LLVMFuncOp, LLVM::LLVMFuncOp>>
      twins;                                       // a function, and the one in functions that it equals
  std::vector<llvm::SmallVector<char, 0>> objects; // [functions]
  std::vector<double> milliseconds;                // [functions]
  std::vector<std::optional<Error>> failures;      // [functions]
  std::mutex mutex;                                // guards everything below, and translation
  size_t next = 0;
  int done = 0;
  bool failed = false;
};
} // namespace

Result<NativeCode> generateCode(ModuleOp kernels, const Target &target, int jobs,
                                std::function<void(int done, int total)> progress, const std::string &dump) {
  registerBuiltinDialectTranslation(*kernels.getContext());
  registerLLVMDialectTranslation(*kernels.getContext());
  Generator generator(kernels, target, std::move(progress), dump);
  if (Status opened = generator.openStore(); !opened)
    return opened.error();
  std::vector<std::thread> team;
  for (int i = 1; i < jobs; ++i)
    team.emplace_back([&] { generator.work(); });
  generator.work();
  for (std::thread &thread : team)
    thread.join();
  return generator.link();
}

} // namespace stepdown
