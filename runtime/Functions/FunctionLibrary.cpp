#include "runtime/Functions/FunctionLibrary.h"

#include "lib/Base/Suggestion.h"
#include "runtime/Devices.h"
#include "runtime/Functions/HostCalls.h"
#include <algorithm>
#include <cstring>

namespace stepdown {
namespace {

using ull = unsigned long long;

struct Element {
  const char *name;
  size_t bytes;
};
constexpr Element elements[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}, {"f64", 8},   {"i1", 1},       {"i8", 1},
                                {"i16", 2}, {"i32", 4}, {"i64", 8},  {"index", 8}, {"f8E4M3FN", 1}, {"f8E5M2", 1}};
static_assert(sizeof elements / sizeof *elements == STEPDOWN_F8E5M2 + 1);

/// Whether an array of `dims` is one that `expected` describes.
bool fits(const Array &expected, const Array &array) {
  if (array.element != expected.element || array.dims.size() != expected.dims.size())
    return false;
  for (size_t d = 0; d < array.dims.size(); ++d)
    if (array.dims[d] < 0 || (expected.dims[d] >= 0 && expected.dims[d] != array.dims[d]))
      return false;
  return true;
}

/// No array is larger, so that what functions compute of sizes stays inside 64 bits (SizeArithmetic.h).
constexpr uint64_t mostBytes = uint64_t(1) << 46;

/// Whether `array` stays inside mostBytes, also where a size of zero hides how large the others are.
bool inBounds(const Array &array) {
  uint64_t bytes = elementBytes(array.element);
  for (int64_t dim : array.dims) {
    if (dim <= 1)
      continue;
    if (uint64_t(dim) > mostBytes / bytes)
      return false;
    bytes *= uint64_t(dim);
  }
  return true;
}

uint64_t alignUp(uint64_t bytes, uint64_t to) { return (bytes + to - 1) / to * to; }

/// Takes `bytes` from what is left of a room; E0624.
Result<uint64_t> place(const char *function, const CallRoom &room, uint64_t alignment, uint64_t &next, uint64_t bytes) {
  if (bytes > room.end() - next)
    return fail(ErrorCode::FunctionMemory, "%s: expects room for an array of %llu bytes, but %llu of %llu are taken",
                function, (ull)bytes, (ull)(next - room.begin()), (ull)(room.end() - room.begin()));
  const uint64_t address = next;
  next = alignUp(next + bytes, alignment);
  return address;
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
  if (room)
    rooms->give(std::move(room), used);
}

Result<std::shared_ptr<const FunctionLibrary>>
FunctionLibrary::load(const std::string &path, std::shared_ptr<Device> device, const char *level, FileUse use) {
  Result<ArtifactFile> file = ArtifactFile::open(path, use);
  if (!file)
    return file.error();
  if (Status functions = file->expectFunctions(); !functions)
    return functions.error();
  Result<ChosenCode> chosen = file->chooseCode(*device, level);
  if (!chosen)
    return chosen.error();
  std::shared_ptr<FunctionLibrary> library(new FunctionLibrary(std::move(*file)));
  library->chosen = *chosen;
  const FileTarget &target = library->target();
  const FunctionTable &table = target.functions;
  for (const stepdown_function &f : table.functions) {
    FunctionSignature signature{table.string(f.name), {}, {}};
    for (uint32_t i = 0; i < f.argument_count + f.result_count; ++i)
      (i < f.argument_count ? signature.arguments : signature.results)
          .push_back(arrayOf(table.values[f.first_value + i]));
    library->signatures.push_back(std::move(signature));
  }
  std::shared_ptr<Device> host;
  if (device->hasHost()) {
    Result<std::shared_ptr<Device>> processor = openDevice(nullptr);
    if (!processor)
      return processor.error();
    host = std::move(*processor);
  }
  library->rooms = std::make_shared<CallRooms>(std::move(device), std::move(host));
  const CodeSection &code = target.code[chosen->section];
  Device &runner = library->rooms->host();
  Result<uint64_t> base = runner.loadCode(code.bytes, code.size, code.checksum);
  if (!base)
    return base.error();
  library->codeAddress = *base;
  auto prepare = [&](Device &on, uint64_t where, const stepdown_entry &entry, std::vector<uint64_t> &list) -> Status {
    Result<uint64_t> kernel = on.kernel(where, entry.offset, code.index.name(entry), code.index.launches[entry.launch]);
    if (!kernel)
      return kernel.error();
    list.push_back(*kernel);
    return Done{};
  };
  for (size_t i = 0; i < table.functions.count; ++i)
    if (Status good = prepare(runner, *base, code.index.entries[table.entry(chosen->section, i)], library->entries);
        !good)
      return good.error();
  if (&runner == &library->device())
    return std::shared_ptr<const FunctionLibrary>(std::move(library));
  Result<uint64_t> images = library->device().loadCode(code.bytes, code.size, code.checksum);
  if (!images)
    return images.error();
  for (const stepdown_entry &entry : code.index.entries)
    if (entry.name != STEPDOWN_NO_NAME)
      if (Status good = prepare(library->device(), *images, entry, library->kernels); !good)
        return good.error();
  return std::shared_ptr<const FunctionLibrary>(std::move(library));
}

const char *FunctionLibrary::level() const { return target().level(chosen.section); }

Result<size_t> FunctionLibrary::find(const std::string &name) const {
  std::string known;
  std::vector<std::string> names;
  for (size_t i = 0; i < signatures.size(); ++i) {
    if (name == signatures[i].name)
      return i;
    known += (i ? ", " : "") + std::string(signatures[i].name);
    names.push_back(signatures[i].name);
  }
  return fail(ErrorCode::FunctionUnknown, "%s: expects one of the functions %s, but got \"%s\"%s", file.path().c_str(),
              known.c_str(), name.c_str(), suggestion(name, names).c_str());
}

Status FunctionLibrary::checkArguments(const FunctionSignature &function, const std::vector<Array> &arguments) const {
  if (arguments.size() != function.arguments.size())
    return fail(ErrorCode::ArgumentCount, "%s: expects %zu arguments, but got %zu", function.name,
                function.arguments.size(), arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].element > STEPDOWN_F8E5M2)
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects an element of Element.h, but got %u",
                  function.name, i, arguments[i].element);
    if (!fits(function.arguments[i], arguments[i]))
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects %s, but got %s", function.name, i,
                  describe(function.arguments[i]).c_str(), describe(arguments[i]).c_str());
    if (!inBounds(arguments[i]))
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects an array of at most 2^46 bytes, but got %s",
                  function.name, i, describe(arguments[i]).c_str());
    if (!arguments[i].data && arguments[i].elements())
      return fail(ErrorCode::ArgumentMismatch, "%s: argument %zu: expects the address of its data, but got none",
                  function.name, i);
  }
  return Done{};
}

Error FunctionLibrary::failure(const FunctionSignature &function, const stepdown_call &call,
                               const CallRoom &room) const {
  if (call.failure == ~uint64_t(0) && call.wanted > mostBytes)
    return fail(ErrorCode::FunctionMemory, "%s: expects room for an array of more than 2^46 bytes, which no memory has",
                function.name);
  if (call.failure == ~uint64_t(0))
    return fail(ErrorCode::FunctionMemory, "%s: expects room for an array of %llu bytes, but %llu of %llu are taken",
                function.name, (ull)call.wanted, (ull)(call.next - room.begin()), (ull)(room.end() - room.begin()));
  if (call.failure == ~uint64_t(1)) // and said nothing: not one of ours
    return fail(ErrorCode::FunctionCheck, "%s: the device refused", function.name);
  // The text is a constant of the code; whatever the number says, nothing outside is read.
  const CodeSection &code = target().code[chosen.section];
  const uint64_t offset = call.failure - codeAddress;
  std::string text = "a check of the program";
  if (offset < code.size)
    text.assign(reinterpret_cast<const char *>(code.bytes) + offset,
                strnlen(reinterpret_cast<const char *>(code.bytes) + offset, code.size - offset));
  return fail(ErrorCode::FunctionCheck, "%s: %s", function.name, text.c_str());
}

// Where the device runs the function, the arena of a call begins with the record that function and caller share, then
// come the operand words; these lie in the host's memory where the processor runs it. The arguments follow, where the
// device does not read the host's memory; the function takes the rest.
Result<std::unique_ptr<CallResults>> FunctionLibrary::call(size_t index, const std::vector<Array> &arguments) const {
  const FunctionSignature &function = signatures[index];
  if (Status good = checkArguments(function, arguments); !good)
    return good.error();
  std::unique_ptr<CallResults> results(new CallResults());
  Result<std::unique_ptr<CallRoom>> taken = rooms->take();
  if (!taken)
    return taken.error();
  results->rooms = rooms;
  results->room = std::move(*taken);
  const CallRoom &room = *results->room;
  Queue &queue = *room.queue;
  const bool shared = room.arena->host;

  constexpr size_t recordWords = sizeof(stepdown_call) / sizeof(uint64_t);
  size_t words = recordWords + 1;
  for (const std::vector<Array> *arrays : {&function.arguments, &function.results})
    for (const Array &array : *arrays)
      words += 1 + array.dims.size();
  std::vector<uint64_t> operands(words); // the record, then the operands
  const uint64_t recordAt = room.host ? reinterpret_cast<uint64_t>(operands.data()) : room.begin();
  uint64_t next = room.begin() + (room.host ? 0 : alignUp(words * sizeof(uint64_t), target().alignment));
  results->used = next - room.begin();
  // Where the call ends early, what it sent or asked for may still be on its way to and from memory that is freed then.
  struct Settled {
    Queue &queue;
    ~Settled() { (void)bool(queue.sync()); }
  } settled{queue};
  operands[recordWords] = recordAt;
  size_t at = recordWords + 1;
  for (const Array &argument : arguments) {
    uint64_t address = reinterpret_cast<uint64_t>(argument.data);
    if (!shared || address % elementBytes(argument.element)) {
      Result<uint64_t> own = place(function.name, room, target().alignment, next, argument.bytes());
      if (!own)
        return own.error();
      if (Status ready = room.arena.commit(*own - room.begin(), next - room.begin()); !ready)
        return ready.error();
      if (argument.bytes())
        if (Status sent = queue.upload(*own, argument.data, argument.bytes()); !sent)
          return sent.error();
      address = *own;
      results->used = next - room.begin();
    }
    operands[at++] = address;
    at = std::copy(argument.dims.begin(), argument.dims.end(), operands.begin() + at) - operands.begin();
  }
  HostCalls host(queue, device(), kernels, room.arena, operands.data()); // the record begins with `next`
  static_assert(offsetof(stepdown_call, next) == 0);
  stepdown_call record = {next, room.end(), 0, 0, room.host ? reinterpret_cast<uint64_t>(host.table()) : 0};
  std::memcpy(operands.data(), &record, sizeof record);

  const Launch launch = {entries[index], recordAt + sizeof record, static_cast<uint32_t>(words - recordWords)};
  Status ran = Done{};
  if (room.host) {
    ran = room.host->launch(&launch, 1);
    if (ran)
      ran = room.host->sync();
  } else {
    ran = queue.upload(room.begin(), operands.data(), words * sizeof(uint64_t));
    if (ran)
      ran = queue.launch(&launch, 1);
    if (ran)
      ran = queue.download(operands.data(), room.begin(), words * sizeof(uint64_t));
  }
  if (ran)
    ran = host.status();
  if (ran)
    ran = queue.sync();
  if (!ran)
    return ran.error();
  std::memcpy(&record, operands.data(), sizeof record);
  results->used = record.next - room.begin();
  if (record.failure)
    return failure(function, record, room);

  for (const Array &expected : function.results) {
    const uint64_t address = operands[at++];
    Array result{expected.element, {}, reinterpret_cast<const void *>(address)};
    for (size_t d = 0; d < expected.dims.size(); ++d)
      result.dims.push_back(static_cast<int64_t>(operands[at++]));
    if (!fits(expected, result))
      return fail(ErrorCode::FunctionCheck, "%s: result %zu: expects %s, but got %s", function.name,
                  results->values.size(), describe(expected).c_str(), describe(result).c_str());
    if (!shared || address < room.begin() || address >= room.end()) {
      results->copies.emplace_back(new uint8_t[result.bytes() + 1]);
      result.data = results->copies.back().get();
      if (result.bytes())
        if (Status got = queue.download(results->copies.back().get(), address, result.bytes()); !got)
          return got.error();
    }
    results->values.push_back(std::move(result));
  }
  if (Status done = queue.sync(); !done)
    return done.error();
  return results;
}

} // namespace stepdown
