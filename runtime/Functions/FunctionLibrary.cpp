#include "runtime/Functions/FunctionLibrary.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/cpu/Processor.h"
#include <cstring>

namespace stepdown {
namespace {

using ull = unsigned long long;

struct Element {
  const char *name;
  size_t bytes;
};
constexpr Element elements[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}, {"f64", 8}, {"i1", 1},
                                {"i8", 1},  {"i16", 2}, {"i32", 4},  {"i64", 8}, {"index", 8}};
static_assert(sizeof elements / sizeof *elements == STEPDOWN_INDEX + 1);

/// A function has no type information in front of it, which UBSan's check of calls through pointers would read.
__attribute__((no_sanitize("function"))) void enter(uint64_t address, const uint64_t *operands) {
  using Function = void (*)(const uint64_t *operands, int64_t thread, int64_t threads);
  reinterpret_cast<Function>(address)(operands, 0, 1);
}

/// Whether an array of `dims` is one that `expected` describes.
bool fits(const Array &expected, const Array &array) {
  if (array.element != expected.element || array.dims.size() != expected.dims.size())
    return false;
  for (size_t d = 0; d < array.dims.size(); ++d)
    if (array.dims[d] < 0 || (expected.dims[d] >= 0 && expected.dims[d] != array.dims[d]))
      return false;
  return true;
}

std::unique_ptr<uint8_t[]> copyOf(const void *data, size_t bytes) {
  std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes + 1]);
  if (bytes)
    std::memcpy(copy.get(), data, bytes);
  return copy;
}

} // namespace

Array arrayOf(const stepdown_value &value) {
  return {value.element, std::vector<int64_t>(value.dims, value.dims + value.rank), nullptr};
}

const char *elementName(uint32_t element) { return elements[element].name; }
size_t elementBytes(uint32_t element) { return elements[element].bytes; }

uint64_t Array::elements() const {
  uint64_t count = 1;
  for (int64_t dim : dims)
    count *= static_cast<uint64_t>(dim);
  return count;
}

size_t Array::bytes() const { return elements() * elementBytes(element); }

std::string describe(const Array &array) {
  std::string text = std::string(elementName(array.element)) + " [";
  for (size_t d = 0; d < array.dims.size(); ++d)
    text += (d ? ", " : "") + (array.dims[d] < 0 ? std::string("?") : std::to_string(array.dims[d]));
  return text + "]";
}

CallResults::~CallResults() {
  if (arena)
    pool->give(std::move(arena), used);
}

Result<std::shared_ptr<const FunctionLibrary>> FunctionLibrary::load(const std::string &path, const char *isa,
                                                                     FileUse use) {
  Result<ArtifactFile> file = ArtifactFile::open(path, use);
  if (!file)
    return file.error();
  if (Status functions = file->expectFunctions(); !functions)
    return functions.error();
  Result<size_t> chosen = file->chooseCode(isa);
  if (!chosen)
    return chosen.error();
  std::shared_ptr<FunctionLibrary> library(new FunctionLibrary(std::move(*file)));
  const FunctionTable &table = library->file.functions();
  for (const stepdown_function &f : table.functions) {
    CallableFunction signature{table.string(f.name), {}, {}};
    for (uint32_t i = 0; i < f.argument_count + f.result_count; ++i)
      (i < f.argument_count ? signature.arguments : signature.results)
          .push_back(arrayOf(table.values[f.first_value + i]));
    library->signatures.push_back(std::move(signature));
  }
  library->codeIndex = *chosen;
  library->machine = makeCpuDevice();
  const CodeSection &code = library->file.code()[*chosen];
  Result<uint64_t> base = library->machine->loadCode(code.bytes, code.size, code.checksum);
  if (!base)
    return base.error();
  library->codeAddress = *base;
  return std::shared_ptr<const FunctionLibrary>(std::move(library));
}

const char *FunctionLibrary::level() const { return levelName(file.code()[codeIndex].level); }

Result<size_t> FunctionLibrary::find(const std::string &name) const {
  std::string known;
  for (size_t i = 0; i < signatures.size(); ++i) {
    if (name == signatures[i].name)
      return i;
    known += (i ? ", " : "") + std::string(signatures[i].name);
  }
  return fail(ErrorCode::FunctionUnknown, "%s: expects one of the functions %s, but got \"%s\"", file.path().c_str(),
              known.c_str(), name.c_str());
}

Status FunctionLibrary::checkArguments(const CallableFunction &function, const std::vector<Array> &arguments) const {
  if (arguments.size() != function.arguments.size())
    return fail(ErrorCode::ArgumentCount, "%s: expects %zu arguments, but got %zu", function.name,
                function.arguments.size(), arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].element > STEPDOWN_INDEX)
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects an element of Element.h, but got %u",
                  function.name, i, arguments[i].element);
    if (!fits(function.arguments[i], arguments[i]))
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects %s, but got %s", function.name, i,
                  describe(function.arguments[i]).c_str(), describe(arguments[i]).c_str());
    if (!arguments[i].data && arguments[i].elements())
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects the address of its data, but got none",
                  function.name, i);
  }
  return Done{};
}

Error FunctionLibrary::failure(const CallableFunction &function, const stepdown_call &call, const Arena &arena) const {
  if (call.failure == ~uint64_t(0))
    return fail(ErrorCode::FunctionMemory, "%s: expects room for an array of %llu bytes, but %llu of %llu are taken",
                function.name, (ull)call.wanted, (ull)(call.next - arena.begin()), (ull)(arena.end() - arena.begin()));
  // The text is a constant of the code; whatever the number says, nothing outside is read.
  const CodeSection &code = file.code()[codeIndex];
  const uint64_t offset = call.failure - codeAddress;
  std::string text = "a check of the program";
  if (offset < code.size)
    text.assign(reinterpret_cast<const char *>(code.bytes) + offset,
                strnlen(reinterpret_cast<const char *>(code.bytes) + offset, code.size - offset));
  return fail(ErrorCode::FunctionCheck, "%s: %s", function.name, text.c_str());
}

Result<std::unique_ptr<CallResults>> FunctionLibrary::call(size_t index, const std::vector<Array> &arguments) const {
  const CallableFunction &function = signatures[index];
  if (Status good = checkArguments(function, arguments); !good)
    return good.error();
  std::unique_ptr<CallResults> results(new CallResults());
  Result<std::unique_ptr<Arena>> arena = pool->take();
  if (!arena)
    return arena.error();
  results->pool = pool;
  results->arena = std::move(*arena);
  const Arena &memory = *results->arena;

  stepdown_call record = {memory.begin(), memory.end(), 0, 0};
  std::vector<uint64_t> operands = {reinterpret_cast<uint64_t>(&record)};
  std::vector<std::unique_ptr<uint8_t[]>> aligned;
  for (const Array &argument : arguments) {
    const void *data = argument.data;
    if (reinterpret_cast<uint64_t>(data) % elementBytes(argument.element)) {
      aligned.push_back(copyOf(data, argument.bytes()));
      data = aligned.back().get();
    }
    operands.push_back(reinterpret_cast<uint64_t>(data));
    operands.insert(operands.end(), argument.dims.begin(), argument.dims.end());
  }
  const size_t firstResult = operands.size();
  size_t words = firstResult;
  for (const Array &result : function.results)
    words += 1 + result.dims.size();
  operands.resize(words);
  const FunctionTable &table = file.functions();
  enter(machine->kernel(codeAddress, table.code[codeIndex * table.functions.count + index].offset), operands.data());
  results->used = record.next - memory.begin();
  if (record.failure)
    return failure(function, record, memory);

  size_t at = firstResult;
  for (const Array &expected : function.results) {
    const uint64_t address = operands[at++];
    Array result{expected.element, {}, reinterpret_cast<const void *>(address)};
    for (size_t d = 0; d < expected.dims.size(); ++d)
      result.dims.push_back(static_cast<int64_t>(operands[at++]));
    if (!fits(expected, result))
      return fail(ErrorCode::FunctionCheck, "%s: result %zu: expects %s, but got %s", function.name,
                  results->values.size(), describe(expected).c_str(), describe(result).c_str());
    if (address < memory.begin() || address >= memory.end()) {
      results->copies.push_back(copyOf(result.data, result.bytes()));
      result.data = results->copies.back().get();
    }
    results->values.push_back(std::move(result));
  }
  return results;
}

} // namespace stepdown
