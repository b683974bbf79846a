#include "lib/Driver/WorkNotes.h"
#include "lib/Base/FaultDetail.h"
#include "lib/Base/PartFile.h"
#include "lib/Frontend/PlainModule.h"
#include "mlir/IR/Action.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Rewrite/PatternApplicator.h"
#include <cstdio>
#include <string>

using namespace mlir;

namespace stepdown {
namespace {

struct NoteWork : PassInstrumentation {
  void runBeforePass(Pass *pass, Operation *op) override {
    std::string what = pass->getArgument().str();
    if (what.empty()) // it hands its operations to other passes
      return;
    if (auto symbol = dyn_cast<SymbolOpInterface>(op); symbol && symbol.getNameAttr())
      what += " of @" + symbol.getName().str();
    if (std::string place = placeOf(op->getLoc()); place != "?" && !StringRef(place).ends_with(":0:0"))
      what += ", " + place;
    noteWork(what.c_str());
  }
  void runAfterPass(Pass *, Operation *) override { noteWork(""); }
  void runAfterPassFailed(Pass *, Operation *) override { noteWork(""); }
};

/// A pattern at work. All that it points to lives as long as the context: the operation may be gone when the fault
/// comes.
struct PatternNote {
  const char *name = nullptr; ///< of the operation
  size_t nameSize = 0;
  const void *place = nullptr; ///< its Location
};
thread_local PatternNote note;

void describe(char *text, size_t size) {
  if (!note.name || !size)
    return;
  int used = std::snprintf(text, size, " at '%.*s'", int(note.nameSize), note.name);
  if (auto file = Location::getFromOpaquePointer(note.place)->findInstanceOf<FileLineColLoc>();
      file && used > 0 && size_t(used) < size)
    std::snprintf(text + used, size - size_t(used), ", %s:%u:%u", file.getFilename().getValue().data(), file.getLine(),
                  file.getColumn());
}

} // namespace

void notePasses(PassManager &manager) { manager.addInstrumentation(std::make_unique<NoteWork>()); }

void notePatterns(MLIRContext &context) {
  describeFaults(describe);
  context.registerActionHandler([](llvm::function_ref<void()> act, const tracing::Action &action) {
    ArrayRef<IRUnit> units = action.getContextIRUnits();
    auto *op =
        isa<ApplyPatternAction>(action) && !units.empty() ? dyn_cast_if_present<Operation *>(units.front()) : nullptr;
    if (!op)
      return act();
    const PatternNote before = note;
    StringRef name = op->getName().getStringRef();
    note = {name.data(), name.size(), op->getLoc().getAsOpaquePointer()};
    act();
    note = before;
  });
}

} // namespace stepdown
