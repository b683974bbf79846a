#include "lib/Driver/PrintedModule.h"
#include "dialects/Transformer/IR/TransformerDialect.h"
#include "lib/Driver/Compile.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;

namespace stepdown {
namespace {

constexpr StringLiteral kDigest = "sha256"; // of the text, but for this entry

std::string textOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  // Places become texts of checks that fail, and names of weights in messages.
  module->print(stream, OpPrintingFlags().enableDebugInfo(true, /*prettyForm=*/false));
  stream << "\n";
  return text;
}

std::string digestOf(const std::string &text) {
  llvm::SHA256 hash;
  hash.update(text);
  return llvm::toHex(hash.final(), true);
}

DictionaryAttr toAttribute(MLIRContext *context, const PrintedRecord &record) {
  Builder b(context);
  NamedAttrList list;
  list.set("phase", b.getStringAttr(record.phase));
  if (record.plain) {
    SmallVector<Attribute> functions;
    for (const auto &[name, type] : record.functions)
      functions.push_back(b.getArrayAttr({b.getStringAttr(name), TypeAttr::get(type)}));
    list.set("functions", b.getArrayAttr(functions));
    list.set("source", b.getDictionaryAttr({b.getNamedAttr("file", b.getStringAttr(record.source.file)),
                                            b.getNamedAttr("bytes", b.getI64IntegerAttr(record.source.bytes)),
                                            b.getNamedAttr("sha256", b.getStringAttr(record.source.sha256))}));
  } else {
    list.set("exact", b.getBoolAttr(record.exact));
    list.set("kv_type", b.getStringAttr(record.kvType));
    list.set("activations", b.getStringAttr(record.activations));
    list.set("max_context", b.getI64IntegerAttr(record.maxContext));
  }
  if (!record.target.empty())
    list.set("target", b.getStringAttr(record.target));
  return list.getDictionary(context);
}

/// Reads entries, and remembers the first that is missing or of another type.
class Reader {
public:
  explicit Reader(DictionaryAttr dictionary) : dictionary(dictionary) {}
  std::string text(StringRef name) {
    return take<StringAttr>(name, [](StringAttr a) { return a.str(); });
  }
  bool flag(StringRef name) {
    return take<BoolAttr>(name, [](BoolAttr a) { return a.getValue(); });
  }
  int64_t number(StringRef name) {
    return take<IntegerAttr>(name, [](IntegerAttr a) { return a.getInt(); });
  }
  std::string bad;

private:
  template <typename A, typename F> auto take(StringRef name, F value) -> decltype(value(A())) {
    if (auto found = dictionary ? dictionary.getAs<A>(name) : A())
      return value(found);
    if (bad.empty())
      bad = name.str();
    return {};
  }
  DictionaryAttr dictionary;
};

bool readFunctions(DictionaryAttr dictionary, PrintedRecord &record) {
  auto functions = dictionary.getAs<ArrayAttr>("functions");
  for (Attribute entry : functions ? functions.getValue() : ArrayRef<Attribute>()) {
    auto pair = dyn_cast<ArrayAttr>(entry);
    auto name = pair && pair.size() == 2 ? dyn_cast<StringAttr>(pair[0]) : StringAttr();
    auto type = name ? dyn_cast<TypeAttr>(pair[1]) : TypeAttr();
    auto signature = type ? dyn_cast<FunctionType>(type.getValue()) : FunctionType();
    if (!signature)
      return false;
    record.functions.push_back({name.str(), signature});
  }
  return !record.functions.empty();
}

} // namespace

std::string printModule(ModuleOp module, const PrintedRecord &record) {
  MLIRContext *context = module.getContext();
  NamedAttrList attribute = toAttribute(context, record);
  module->setAttr(transformer::kCompiledAttr, attribute.getDictionary(context));
  attribute.set(kDigest, StringAttr::get(context, digestOf(textOf(module))));
  module->setAttr(transformer::kCompiledAttr, attribute.getDictionary(context));
  std::string text = textOf(module);
  module->removeAttr(transformer::kCompiledAttr);
  return text;
}

Result<PrintedRecord> takeRecord(ModuleOp module, StringRef phase, const std::string &place) {
  auto given = module->getAttrOfType<DictionaryAttr>(transformer::kCompiledAttr);
  if (!given)
    return fail(ErrorCode::PrintedModule, "%s: expects a module with %s, as --compile-to prints it, but it has none",
                place.c_str(), transformer::kCompiledAttr.str().c_str());
  PrintedRecord record;
  Reader reader(given);
  record.phase = reader.text("phase");
  if (reader.bad.empty() && record.phase != phase)
    return fail(ErrorCode::PrintedModule, "%s: expects IR of the phase '%s', but got that of '%s'", place.c_str(),
                phase.str().c_str(), record.phase.c_str());
  record.plain = module->hasAttr(transformer::kPlainAttr);
  if (record.plain) {
    Reader source(given.getAs<DictionaryAttr>("source"));
    record.source = {source.text("file"), uint64_t(source.number("bytes")), source.text("sha256")};
    if (reader.bad.empty() && !readFunctions(given, record))
      reader.bad = "functions";
    if (reader.bad.empty() && !source.bad.empty())
      reader.bad = "source." + source.bad;
  } else {
    record.exact = reader.flag("exact");
    record.kvType = reader.text("kv_type");
    record.activations = reader.text("activations");
    if (reader.bad.empty() && !checkNumbers(false, "", record.kvType))
      reader.bad = "kv_type f16, f32, q8_0 or fp8_e4m3";
    record.maxContext = uint64_t(reader.number("max_context"));
  }
  if (given.get("target"))
    record.target = reader.text("target");
  if (!reader.bad.empty())
    return fail(ErrorCode::PrintedModule, "%s: %s: expects %s as --compile-to prints it", place.c_str(),
                transformer::kCompiledAttr.str().c_str(), reader.bad.c_str());
  NamedAttrList rest = given;
  auto digest = dyn_cast_or_null<StringAttr>(rest.erase(kDigest));
  module->setAttr(transformer::kCompiledAttr, rest.getDictionary(module.getContext()));
  record.edited = !digest || digest.getValue() != digestOf(textOf(module));
  module->removeAttr(transformer::kCompiledAttr);
  return record;
}

} // namespace stepdown
