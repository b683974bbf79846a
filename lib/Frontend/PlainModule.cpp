#include "lib/Frontend/PlainModule.h"
#include "dialects/Transformer/IR/CachedRows.h"
#include "dialects/Transformer/IR/TransformerOps.h"
#include "include/stepdown/Artifact.h"
#include "lib/Base/PartFile.h"
#include "lib/Frontend/ModuleLimits.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace stepdown {
namespace {

/// As the runtime has it, which checks what only a call knows.
constexpr uint64_t kMostArrayBytes = uint64_t(1) << 46;

/// What people write programs in, and what the canonical forms of it need.
constexpr const char *kDialects[] = {"func", "linalg", "tensor", "arith", "math", "scf", "affine", "cf", "transformer"};

struct Refused {
  StringRef operation, why, instead;
};
constexpr Refused kRefused[] = {
#define STEPDOWN_REFUSED(operation, why, instead) {operation, why, instead},
#include "lib/Frontend/RefusedOperations.def"
};

/// Keeps the first error that the parser or the verifier reports.
class FirstError {
public:
  explicit FirstError(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error && text.empty())
            noteDiagnostic((text = placeOf(diagnostic.getLocation()) + ": " + diagnostic.str()).c_str());
          return success();
        }) {}
  ~FirstError() { noteDiagnostic(""); }
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};

/// Whether the sizes that `type` knows make no more bytes than an array may have, be it empty or not.
bool hasSaneSize(ShapedType type) {
  uint64_t bytes = type.getElementType().isIntOrFloat() ? llvm::divideCeil(type.getElementTypeBitWidth(), 8) : 8;
  for (int64_t size : type.getShape())
    if (size > 1)
      bytes = llvm::SaturatingMultiply<uint64_t>(bytes, size);
  return bytes <= kMostArrayBytes;
}

bool isElement(Type type) {
  return isa<Float8E4M3FNType, Float8E5M2Type, Float16Type, BFloat16Type, Float32Type, Float64Type, IndexType>(type) ||
         (type.isSignlessInteger() && llvm::is_contained({1, 8, 16, 32, 64}, type.getIntOrFloatBitWidth()));
}

/// Types of transformer that an array stands for: a batch, a cache of numbers, blocks of one float.
bool hasArrayForm(Type type) {
  if (auto cache = dyn_cast<transformer::CacheType>(type))
    return transformer::isWide(cache);
  if (isa<transformer::BatchType>(type))
    return true;
  auto tensor = dyn_cast<RankedTensorType>(type);
  auto block = tensor ? dyn_cast<transformer::BlockType>(tensor.getElementType()) : transformer::BlockType();
  return block && block.getRows() == 1 && llvm::is_contained({"f32", "f16", "bf16"}, block.getStorage());
}

class ModuleReader {
public:
  explicit ModuleReader(ModuleOp module) : module(module), symbols(module) {}

  Status check() {
    for (Operation &op : *module.getBody()) {
      auto function = dyn_cast<func::FuncOp>(op);
      if (!function)
        return refuse(&op) << "expects functions (func.func) at the top of the module, but got '" << op.getName()
                           << "'";
      if (Status status = checkFunction(function); !status)
        return status;
    }
    if (functions.empty())
      return refuse(module) << "expects a public function, but the module has "
                            << (module.getBody()->empty() ? "none at all" : "private ones alone");
    return checkRecursion();
  }

  /// Gives every public function a signature of tensors alone, and its insides to a private one where they differ.
  void takeArrays() {
    OpBuilder b(module.getContext());
    // Once for all functions: to ask for each walks the whole module.
    llvm::DenseMap<StringAttr, SmallVector<func::CallOp>> calls;
    module.walk([&](func::CallOp call) { calls[call.getCalleeAttr().getAttr()].push_back(call); });
    for (func::FuncOp function : functions) {
      ArrayRef<func::CallOp> callers = calls[function.getNameAttr()];
      auto isScalar = [](Type type) { return isElement(type); };
      if (!callers.empty() || llvm::any_of(function.getArgumentTypes(), isScalar) ||
          llvm::any_of(function.getResultTypes(), isScalar))
        function = wrap(function, callers);
      for (unsigned i = 0; i < function.getNumArguments(); ++i) // callers keep what they gave
        function.setArgAttr(i, bufferization::BufferizationDialect::kWritableAttrName, b.getBoolAttr(false));
    }
  }

  void nest() {
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    auto kernels = ModuleOp::create(b, module.getLoc(), "kernels");
    module->setAttr(transformer::kPlainAttr, b.getUnitAttr());
    for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
      if (&op != kernels)
        op.moveBefore(kernels.getBody(), kernels.getBody()->end());
  }

private:
  /// A message under construction that becomes the error.
  struct Refusal {
    std::string text;
    template <typename T> Refusal &operator<<(const T &part) {
      llvm::raw_string_ostream(text) << part;
      return *this;
    }
    operator Status() const { return fail(ErrorCode::ModuleUnsupported, "%s", text.c_str()); }
  };
  Refusal refuse(Operation *op) { return Refusal{placeOf(op->getLoc()) + ": "}; }

  Status checkFunction(func::FuncOp function) {
    StringRef name = function.getName();
    if (function.isExternal())
      return refuse(function) << "expects functions with a body, but @" << name << " has none";
    if (!llvm::hasSingleElement(function.getBody()))
      return refuse(function) << "expects functions of one block, but @" << name << " branches: use scf.if and scf.for";
    if (function.isPublic()) {
      if (name.empty() || llvm::any_of(name, [](char c) { return c <= ' ' || c == '/' || c == 127; }))
        return refuse(function) << "expects names of public functions without spaces and slashes, but got @\"" << name
                                << "\"";
      for (auto [types, what] :
           {std::pair(function.getArgumentTypes(), "argument"), std::pair(function.getResultTypes(), "result")})
        for (auto [i, type] : llvm::enumerate(types)) {
          if (auto tensor = dyn_cast<RankedTensorType>(type); tensor && !hasSaneSize(tensor))
            return refuse(function) << "@" << name << ": expects " << what << " " << i
                                    << " of at most 2^46 bytes, but got " << type;
          if (!isArray(type))
            return refuse(function)
                   << "@" << name << ": expects " << what << " " << i
                   << " to be a number or a ranked tensor of at most " << STEPDOWN_MAX_ARRAY_RANK
                   << " dimensions of f8E4M3FN, f8E5M2, f16, bf16, f32, f64, i1, i8, i16, i32, i64 or index, but got "
                   << type;
        }
      functions.push_back(function);
    }
    Operation *bad = nullptr;
    Status status = Done{};
    function.walk([&](Operation *op) {
      if (status = checkOperation(op); !status)
        bad = op;
      return bad ? WalkResult::interrupt() : WalkResult::advance();
    });
    return status;
  }

  static bool isArray(Type type) {
    if (hasArrayForm(type))
      return true;
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      return isElement(type);
    return isElement(tensor.getElementType()) && !tensor.getEncoding() && tensor.getRank() <= STEPDOWN_MAX_ARRAY_RANK;
  }

  /// Whether `op` computes with what it has as eight bits, which is converted, chosen and moved alone.
  static bool computesInEights(Operation *op) {
    auto eight = [](Type type) { return isa<Float8E4M3FNType, Float8E5M2Type>(getElementTypeOrSelf(type)); };
    if (llvm::none_of(op->getOperandTypes(), eight) && llvm::none_of(op->getResultTypes(), eight))
      return false;
    if (auto round = dyn_cast<arith::TruncFOp>(op)) {
      auto mode = round.getRoundingmode();
      return mode && *mode != arith::RoundingMode::to_nearest_even;
    }
    const StringRef name = op->getName().getStringRef();
    if (name == "linalg.softmax" || name.starts_with("linalg.winograd")) // whose arithmetic is no body
      return true;
    return !isa<arith::ExtFOp, arith::ConstantOp, arith::BitcastOp, arith::SelectOp>(op) &&
           llvm::is_contained({"arith", "math", "transformer"}, op->getName().getDialectNamespace());
  }

  Status checkOperation(Operation *op) {
    StringRef dialect = op->getName().getDialectNamespace();
    if (!llvm::is_contained(kDialects, dialect)) {
      Refusal refusal = refuse(op) << "'" << op->getName() << "': expects operations of ";
      refusal.text += llvm::join(ArrayRef<const char *>(kDialects), ", ");
      return refusal;
    }
    for (const Refused &refused : kRefused)
      if (op->getName().getStringRef() == refused.operation)
        return refuse(op) << "'" << op->getName()
                          << "': expects an operation that has a lowering, but this has none: " << refused.why
                          << "; write " << refused.instead;
    for (TypeRange types : {TypeRange(op->getOperandTypes()), TypeRange(op->getResultTypes())})
      for (Type type : types) {
        auto tensor = dyn_cast<RankedTensorType>(type);
        if (tensor && !hasSaneSize(tensor))
          return refuse(op) << "'" << op->getName() << "': expects arrays of at most 2^46 bytes, but got " << type;
        if (hasArrayForm(type))
          continue;
        if (tensor ? tensor.getEncoding() || !(isElement(tensor.getElementType())) : !isNumber(type))
          return refuse(op)
                 << "'" << op->getName()
                 << "': expects numbers and ranked tensors of f8E4M3FN, f8E5M2, f16, bf16, f32, f64, i1, i8, "
                    "i16, i32, i64 or index, but got "
                 << type;
      }
    if (computesInEights(op)) {
      Operation *written = op; // what is in a named operation's body stands nowhere
      while (isa<UnknownLoc>(written->getLoc()) && written->getParentOp())
        written = written->getParentOp();
      return refuse(written)
             << "'" << written->getName()
             << "': expects floats of eight bits to be converted, but computes with them; write arith.extf, "
                "and arith.truncf, to the nearest, of what is made";
    }
    return checkResource(op);
  }

  /// The bytes of a constant that stand behind the module, of which the parser asks nothing.
  Status checkResource(Operation *op) {
    auto stored = op->getAttrOfType<DenseResourceElementsAttr>("value");
    if (!stored || !isElement(stored.getShapedType().getElementType()))
      return Done{};
    const AsmResourceBlob *bytes = stored.getRawHandle().getBlob();
    if (!bytes)
      return refuse(op) << "expects bytes for dense_resource<" << stored.getRawHandle().getKey()
                        << "> in dialect_resources, but there are none";
    Type element = stored.getShapedType().getElementType();
    const int64_t bits = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
    const int64_t size = stored.getShapedType().getNumElements() * ((bits + 7) / 8);
    if (int64_t(bytes->getData().size()) != size)
      return refuse(op) << "expects " << size << " bytes in dense_resource<" << stored.getRawHandle().getKey()
                        << ">, as " << stored.getShapedType() << " has, but got " << bytes->getData().size();
    return Done{};
  }

  /// A scalar inside a function: integers of any width that a register holds.
  static bool isNumber(Type type) {
    return isElement(type) || (type.isSignlessInteger() && type.getIntOrFloatBitWidth() <= 64);
  }

  /// Depth-first over the calls; `path` is where the walk stands.
  Status checkRecursion() {
    llvm::SmallSetVector<Operation *, 16> path;
    llvm::DenseSet<Operation *> done;
    for (auto function : module.getOps<func::FuncOp>())
      if (Status status = visit(function, path, done); !status)
        return status;
    return Done{};
  }

  Status visit(func::FuncOp function, llvm::SmallSetVector<Operation *, 16> &path, llvm::DenseSet<Operation *> &done) {
    if (done.contains(function))
      return Done{};
    path.insert(function);
    Status status = Done{};
    function.walk([&](func::CallOp call) {
      auto callee = symbols.lookup<func::FuncOp>(call.getCallee());
      if (path.contains(callee))
        status = refuse(call) << "expects calls that come to an end, but @" << callee.getName() << " calls itself";
      else
        status = visit(callee, path, done);
      return status ? WalkResult::advance() : WalkResult::interrupt();
    });
    path.remove(function);
    done.insert(function);
    return status;
  }

  /// A public function around `inner`, which becomes private and is what `callers` call from now on.
  func::FuncOp wrap(func::FuncOp inner, ArrayRef<func::CallOp> callers) {
    OpBuilder b(inner);
    Location loc = inner.getLoc();
    std::string name = inner.getName().str(), hidden = name + ".inner";
    while (symbols.lookup(hidden))
      hidden += "_";
    symbols.remove(inner);
    inner.setName(hidden);
    inner.setPrivate();
    symbols.insert(inner);
    for (func::CallOp call : callers)
      call.setCallee(hidden);
    auto arrays = [](TypeRange types) {
      SmallVector<Type> all;
      for (Type type : types)
        all.push_back(isElement(type) ? RankedTensorType::get({}, type) : type);
      return all;
    };
    auto outer = func::FuncOp::create(
        b, loc, name, b.getFunctionType(arrays(inner.getArgumentTypes()), arrays(inner.getResultTypes())));
    symbols.insert(outer);
    OpBuilder body = OpBuilder::atBlockBegin(outer.addEntryBlock());
    SmallVector<Value> given, made;
    for (auto [argument, type] : llvm::zip(outer.getArguments(), inner.getArgumentTypes()))
      given.push_back(argument.getType() == type ? Value(argument) : tensor::ExtractOp::create(body, loc, argument));
    auto call = func::CallOp::create(body, loc, inner, given);
    for (auto [result, type] : llvm::zip(call.getResults(), outer.getResultTypes()))
      made.push_back(result.getType() == type ? Value(result)
                                              : tensor::FromElementsOp::create(body, loc, type, ValueRange{result}));
    func::ReturnOp::create(body, loc, made);
    return outer;
  }

  ModuleOp module;
  SymbolTable symbols;                 ///< of `module`
  SmallVector<func::FuncOp> functions; ///< the public ones
};

} // namespace

std::string placeOf(Location loc) {
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    return (file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" + Twine(file.getColumn())).str();
  return "?";
}

bool isPlainModule(StringRef path) { return path.ends_with(".mlir") || path.ends_with(".mlirbc"); }

Result<OwningOpRef<ModuleOp>> parsePlainModule(MLIRContext &context, StringRef text, StringRef name) {
  if (Status status = checkModuleText(text, name); !status)
    return status.error();
  context.loadDialect<func::FuncDialect, tensor::TensorDialect>(); // for what is built around functions
  FirstError error(context);
  ParserConfig config(&context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, config, name);
  if (!module) {
    std::string said = error.text.empty() ? name.str() + ": expects a module" : error.text;
    if (StringRef(said).contains("not found for custom op") || StringRef(said).contains("unregistered dialect"))
      said += "; the compiler knows " + llvm::join(ArrayRef<const char *>(kDialects), ", ");
    if (StringRef(said).contains("unsupported non numeric type"))
      said += "; of this element type, write linalg.generic";
    return fail(ErrorCode::ModuleSyntax, "%s", said.c_str());
  }
  if (Status status = checkModuleSize(*module, name); !status)
    return status.error();
  ModuleReader reader(*module);
  if (Status status = reader.check(); !status)
    return status.error();
  reader.takeArrays();
  reader.nest();
  return module;
}

} // namespace stepdown
