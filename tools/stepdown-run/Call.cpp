// call: one function of a plain module's artifact, with arrays from .npy files or written out.
#include "lib/Base/MappedFile.h"
#include "lib/Base/Suggestion.h"
#include "runtime/Devices.h"
#include "runtime/Functions/FunctionLibrary.h"
#include "runtime/Npy.h"
#include "runtime/cpu/Processor.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/WrittenArray.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace stepdown::run {
namespace {

using nlohmann::ordered_json;

/// Values of a result that are shown where no file takes it.
constexpr uint64_t shownValues = 8;

/// How .npy spells an element; numpy has no bf16 and nothing of eight bits, so their bits travel as numbers.
const char *npyType(uint32_t element) {
  constexpr const char *types[] = {"<f4", "<f2", "<u2", "<f8", "|b1", "|i1", "<i2", "<i4", "<i8", "<i8", "|u1", "|u1"};
  return types[element];
}

/// Whether .npy elements of `type` are of `element`: integers carry no sign here. The package ml_dtypes writes V2 for
/// bf16, V1 for f8E4M3FN and f1 for f8E5M2.
bool isType(const std::string &type, uint32_t element) {
  const std::string word = type.substr(1);
  switch (element) {
  case STEPDOWN_BF16:
    return word == "u2" || word == "V2";
  case STEPDOWN_F8E4M3FN:
    return word == "u1" || word == "V1";
  case STEPDOWN_F8E5M2:
    return word == "u1" || word == "f1";
  case STEPDOWN_I8:
  case STEPDOWN_I16:
  case STEPDOWN_I32:
  case STEPDOWN_I64:
    return word == "i" + std::to_string(elementBytes(element)) || word == "u" + std::to_string(elementBytes(element));
  default:
    return word == npyType(element) + 1;
  }
}

/// The name of a .npy type as messages say it: "f64", "i32", "u8".
std::string nameOf(const std::string &type) {
  if (type.substr(1) == "b1")
    return "bool";
  return type.substr(1, 1) + std::to_string(8 * std::strtoul(type.c_str() + 2, nullptr, 10));
}

/// An argument and what holds its bytes: the file, or `bytes` where it was written out or had to be reordered.
struct Argument {
  std::optional<MappedFile> file;
  std::vector<uint8_t> bytes;
  Array array;
};

/// The elements of `npy` row-major; its first dimension is the contiguous one.
std::vector<uint8_t> rowMajor(const NpyArray &npy) {
  std::vector<uint8_t> out(npy.bytes);
  const size_t rank = npy.shape.size(), size = npy.elementBytes;
  std::vector<uint64_t> index(rank, 0), strides(rank, 1);
  for (size_t d = 1; d < rank; ++d)
    strides[d] = strides[d - 1] * npy.shape[d - 1];
  for (size_t at = 0; at < npy.bytes; at += size) {
    uint64_t from = 0;
    for (size_t d = 0; d < rank; ++d)
      from += index[d] * strides[d];
    std::memcpy(out.data() + at, npy.data + from * size, size);
    for (size_t d = rank; d-- > 0 && ++index[d] == npy.shape[d];)
      index[d] = 0;
  }
  return out;
}

Error mismatch(const std::string &source, const FunctionSignature &function, size_t i, const std::string &got) {
  return fail(ErrorCode::ArgumentMismatch, "%s: %s: argument %zu: expects %s, but got %s", source.c_str(),
              function.name, i, describe(function.arguments[i]).c_str(), got.c_str());
}

Status readFile(const std::string &path, const FunctionSignature &function, size_t i, Argument &argument) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.error();
  argument.file.emplace(std::move(*file));
  Result<NpyArray> npy = parseNpy(path, argument.file->data(), argument.file->size());
  if (!npy)
    return npy.error();
  Array &array = argument.array;
  array.dims.assign(npy->shape.begin(), npy->shape.end());
  array.element = function.arguments[i].element;
  if (!isType(npy->type, array.element)) {
    std::string shape = describe(array);
    return mismatch(path, function, i, nameOf(npy->type) + shape.substr(shape.find(' ')));
  }
  array.data = npy->data;
  if (npy->fortranOrder && npy->shape.size() > 1) {
    argument.bytes = rowMajor(*npy);
    array.data = argument.bytes.data();
  }
  return Done{};
}

/// `text` is the name of a .npy file or an array written out; the numbers of a random one are those of (seed, i).
Status readArgument(const std::string &text, uint64_t seed, const FunctionSignature &function, size_t i,
                    Argument &argument) {
  if (!isWrittenArray(text))
    return readFile(text, function, i, argument);
  Result<WrittenArray> written = parseWrittenArray(text, seed, i);
  if (!written)
    return written.error();
  argument.bytes = std::move(written->bytes);
  argument.array = {written->element, std::move(written->dims), argument.bytes.data()};
  if (argument.array.element != function.arguments[i].element)
    return mismatch(text.substr(0, 60), function, i, describe(argument.array));
  return Done{};
}

double halfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const double fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (exponent == 31)
    return fraction ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24));
}

/// Element `i` of `array` as text.
std::string valueAt(const Array &array, uint64_t i) {
  const auto *at = static_cast<const uint8_t *>(array.data) + i * elementBytes(array.element);
  auto read = [at](auto value) {
    std::memcpy(&value, at, sizeof value);
    return value;
  };
  char text[40];
  double real = 0;
  switch (array.element) {
  case STEPDOWN_F32:
    real = read(float());
    break;
  case STEPDOWN_F64:
    real = read(double());
    break;
  case STEPDOWN_F16:
    real = halfValue(read(uint16_t()));
    break;
  case STEPDOWN_BF16: {
    uint32_t bits = uint32_t(read(uint16_t())) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    real = value;
    break;
  }
  case STEPDOWN_F8E5M2:
    real = halfValue(uint16_t(read(uint8_t()) << 8));
    break;
  case STEPDOWN_F8E4M3FN: {
    const uint8_t bits = read(uint8_t()); // as an f16 its exponent would be 8 less
    real = (bits & 0x7f) == 0x7f ? NAN : 256 * halfValue(uint16_t((bits & 0x80) << 8 | (bits & 0x7f) << 7));
    break;
  }
  case STEPDOWN_I1:
    return read(uint8_t()) ? "true" : "false";
  case STEPDOWN_I8:
    return std::to_string(read(int8_t()));
  case STEPDOWN_I16:
    return std::to_string(read(int16_t()));
  case STEPDOWN_I32:
    return std::to_string(read(int32_t()));
  default:
    return std::to_string(read(int64_t()));
  }
  std::snprintf(text, sizeof text, array.element == STEPDOWN_F64 ? "%.10g" : "%.6g", real);
  return text;
}

std::string summaryOf(const Array &array) {
  const uint64_t count = array.elements();
  std::string text = describe(array) + ":";
  for (uint64_t i = 0; i < std::min(count, shownValues); ++i)
    text += " " + valueAt(array, i);
  return text + (count > shownValues ? " ..." : "");
}

Status writeResult(const std::string &path, const Array &array, const std::vector<std::string> &inputs) {
  auto writer = NpyWriter::create(path, npyType(array.element), {array.dims.begin(), array.dims.end()}, inputs);
  if (!writer)
    return writer.error();
  if (Status ok = writer->write(array.data, array.bytes()); !ok)
    return ok;
  return writer->finish();
}

double medianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

Status runCall(const Arguments &arguments) {
  auto words = arguments.positionals(2);
  if (!words)
    return words.error();
  const int64_t repeat = arguments.integer("repeat");
  const std::string &path = (*words)[0];
  if (!isArtifact(path)) {
    if (Result<MappedFile> file = MappedFile::open(path); !file)
      return file.error();
    return fail(ErrorCode::ArtifactMagic, "%s: expects an artifact; stepdown-compile makes one of a .mlir module",
                path.c_str());
  }
  const int64_t seed = arguments.integer("seed");
  auto isa = arguments.text("isa");
  const std::string device = arguments.value("device");
  auto machine = openDevice(device.c_str());
  if (!machine)
    return machine.error();
  auto library = FunctionLibrary::load(path, std::move(*machine), isa ? isa->c_str() : nullptr);
  if (!library)
    return library.error();
  Result<size_t> index = (*library)->find((*words)[1]);
  if (!index)
    return index.error();
  const FunctionSignature &function = (*library)->functions()[*index];

  const std::vector<std::string> given = arguments.all("arg"), wanted = arguments.all("out");
  if (given.size() != function.arguments.size())
    return fail(ErrorCode::ArgumentCount, "%s: expects %zu arguments (--arg), but got %zu", function.name,
                function.arguments.size(), given.size());
  if (wanted.size() > function.results.size())
    return fail(ErrorCode::ArgumentCount, "%s: expects at most %zu results (--out), but got %zu", function.name,
                function.results.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i] != "/dev/null" && std::count(wanted.begin(), wanted.end(), wanted[i]) > 1)
      return arguments.usage("expects another file for each result, but got --out " + wanted[i] + " twice");
  std::vector<Argument> read(given.size());
  std::vector<Array> arrays;
  for (size_t i = 0; i < given.size(); ++i) {
    if (Status done = readArgument(given[i], static_cast<uint64_t>(seed), function, i, read[i]); !done)
      return done;
    arrays.push_back(read[i].array);
  }

  std::vector<double> runs;
  std::unique_ptr<CallResults> results;
  for (int64_t run = 0; run <= repeat; ++run) {
    results.reset(); // its arena serves the next call
    const double begin = milliseconds();
    auto called = (*library)->call(*index, arrays);
    if (!called)
      return called.error();
    results = std::move(*called);
    if (run || !repeat) // the first of several finds cold pages
      runs.push_back(milliseconds() - begin);
  }
  std::vector<std::string> inputs = given;
  inputs.push_back(path);
  for (size_t i = 0; i < wanted.size(); ++i)
    if (Status written = writeResult(wanted[i], results->arrays()[i], inputs); !written)
      return written;

  const double least = *std::min_element(runs.begin(), runs.end()), median = medianOf(runs);
  if (arguments.has("json")) {
    ordered_json list = ordered_json::array();
    for (size_t i = 0; i < results->arrays().size(); ++i) {
      const Array &array = results->arrays()[i];
      ordered_json entry = {{"shape", array.dims}, {"dtype", elementName(array.element)}};
      if (i < wanted.size())
        entry["file"] = wanted[i];
      list.push_back(std::move(entry));
    }
    ordered_json object = {
        {"function", function.name},  {"device", device},
        {"isa", (*library)->level()}, {"threads", 1},
        {"results", std::move(list)}, {"timing", {{"runs", runs}, {"min_ms", least}, {"median_ms", median}}}};
    return print(object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  }
  std::string text;
  for (size_t i = 0; i < results->arrays().size(); ++i)
    if (i >= wanted.size())
      text += "result " + std::to_string(i) + ": " + summaryOf(results->arrays()[i]) + "\n";
    else
      text += "result " + std::to_string(i) + ": " + describe(results->arrays()[i]) + " -> " + wanted[i] + "\n";
  if (repeat) {
    char line[120];
    std::snprintf(line, sizeof line, "%zu runs on %s: min %.3f ms, median %.3f ms\n", runs.size(), (*library)->level(),
                  least, median);
    text += line;
  }
  return print(text);
}

} // namespace

Command callCommand() {
  return {"call",
          "FILE.stepdown FUNCTION",
          "Calls a function of an artifact that was compiled from a plain MLIR module, with arrays from .npy files or "
          "written out.",
          {Option("arg", 0, "ARRAY",
                  "the next argument, one for each, in order: FILE.npy, f32[2]=1,2, f32=1.5, random:f32[3,4]")
               .file()
               .repeats(),
           Option("seed", 0, "N", "of random arguments: floats uniform from -1 to 1, integers from -100 to 100")
               .whole(0, INT64_MAX)
               .by("0"),
           Option("out", 0, "FILE.npy", "where to write the next result; results without a file are shown")
               .file()
               .repeats(),
           deviceOption(),
           isaOption(),
           Option("repeat", 0, "N", "call it N more times and tell the least and the median time").whole(0, 1000000),
           {"json", 0, nullptr, "one JSON object: function, device, isa, results, timing"}},
          "stepdown-run call program.stepdown matmul --arg 'random:f32[100,200]' --arg b.npy --out c.npy --repeat 20",
          runCall};
}

} // namespace stepdown::run
