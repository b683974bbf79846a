#include "lib/Checkpoint/HuggingFace/QuantTensors.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/FloatWeight.h"
#include "lib/Checkpoint/HuggingFace/IntegerWeight.h"

#include <algorithm>
#include <cinttypes>

namespace stepdown {
namespace {

using Form = FolderQuantization::Form;
using Strategy = FolderQuantization::Strategy;

std::string dtypeOf(const SafeTensor &tensor) {
  return tensor.other.empty() ? blockFormat(tensor.storage)->name : tensor.other;
}

uint64_t elementsOf(const SafeTensor &tensor) {
  uint64_t count = 1;
  for (uint64_t each : tensor.shape)
    count *= each;
  return count;
}

uint64_t ceilDiv(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

class Gatherer {
public:
  Gatherer(const FolderQuantization &form, const GatheredWeight &weight) : q(form), weight(weight) {}
  Result<std::unique_ptr<WeightPart>> read();

private:
  using Part = Result<std::unique_ptr<WeightPart>>;
  Part gptq();
  Part awq();
  Part packed();
  Part bytes();
  Part float8();

  /// The tensor of `role`, of one of the types, or the error that is kept.
  const SafeTensor *need(const char *role, std::initializer_list<const char *> types);
  const SafeTensor *allow(const char *role, std::initializer_list<const char *> types);
  void expect(const char *role, const SafeTensor &tensor, std::initializer_list<uint64_t> shape);
  void refuse(ErrorCode code, const std::string &text) {
    if (status)
      status = fail(code, "%s: tensors of '%s': %s", weight.file.c_str(), printable(weight.name).c_str(), text.c_str());
  }
  /// Scales [rows, groups] of compressed-tensors.
  const SafeTensor *scales(uint64_t rows, uint64_t groups, std::initializer_list<const char *> types);
  void order(const char *role, IntegerForm &form);
  void expectNoZeros();
  Part integers(const IntegerForm &form);
  uint64_t groupsOf(uint64_t columns) const { return q.group ? ceilDiv(columns, q.group) : 1; }

  const FolderQuantization &q;
  const GatheredWeight &weight;
  Status status = Done{};
};

constexpr std::initializer_list<const char *> floats = {"f32", "f16", "bf16"};

const SafeTensor *Gatherer::allow(const char *role, std::initializer_list<const char *> types) {
  const auto found = weight.tensors.find(role);
  if (found == weight.tensors.end())
    return nullptr;
  const std::string dtype = dtypeOf(found->second);
  if (std::find(types.begin(), types.end(), dtype) == types.end()) {
    std::string list;
    for (const char *type : types)
      list += (list.empty() ? "" : " or ") + std::string(type);
    refuse(ErrorCode::QuantTensorShape, std::string(role) + ": expects dtype " + list + ", but got " + dtype);
  }
  return &found->second;
}

const SafeTensor *Gatherer::need(const char *role, std::initializer_list<const char *> types) {
  const SafeTensor *tensor = allow(role, types);
  if (!tensor)
    refuse(ErrorCode::QuantTensorMissing, "expects " + std::string(role) + ", but it is missing");
  return tensor;
}

void Gatherer::expect(const char *role, const SafeTensor &tensor, std::initializer_list<uint64_t> shape) {
  if (tensor.shape.size() != shape.size() || !std::equal(shape.begin(), shape.end(), tensor.shape.begin()))
    refuse(ErrorCode::QuantTensorShape,
           std::string(role) + ": expects shape " + shapeText(shape) + ", but got " + shapeText(tensor.shape));
}

Result<std::unique_ptr<WeightPart>> Gatherer::integers(const IntegerForm &form) {
  if (!status)
    return status.error();
  return integerPart(weight.file + ": tensors of '" + printable(weight.name) + "'", form);
}

/// Where the config says that zero is the middle of the codes, zero points may be there if they say 0.
void Gatherer::expectNoZeros() {
  const auto zeros = weight.tensors.find("weight_zero_point");
  if (!q.zeroPoints && zeros != weight.tensors.end() &&
      std::any_of(zeros->second.data, zeros->second.data + zeros->second.bytes, [](uint8_t byte) { return byte != 0; }))
    refuse(ErrorCode::QuantTensorShape,
           "weight_zero_point: expects none where quantization_config says symmetric, but one is not 0");
}

/// Which group each column has, where they are not in order.
void Gatherer::order(const char *role, IntegerForm &form) {
  if (const SafeTensor *index = allow(role, {"I32"})) {
    expect(role, *index, {form.columns});
    form.groupOf = index->data;
  }
}

Result<std::unique_ptr<WeightPart>> Gatherer::gptq() {
  const SafeTensor *codes = need("qweight", {"I32"}), *zeros = need("qzeros", {"I32"}), *scale = need("scales", floats);
  if (!status)
    return status.error();
  if (codes->shape.size() != 2 || codes->shape[0] * 32 % q.bits != 0)
    refuse(ErrorCode::QuantTensorShape, "qweight: expects two dimensions, and whole codes of " +
                                            std::to_string(q.bits) + " bits, but got shape " + shapeText(codes->shape));
  if (!status)
    return status.error();
  const uint64_t rows = codes->shape[1], columns = codes->shape[0] * 32 / q.bits, groups = groupsOf(columns);
  expect("scales", *scale, {groups, rows});
  expect("qzeros", *zeros, {groups, rows * q.bits / 32});
  if (rows * q.bits % 32 != 0)
    refuse(ErrorCode::QuantTensorShape,
           "qweight: expects rows that fill whole words of zero points, but got " + std::to_string(rows));
  IntegerForm form;
  form.rows = rows, form.columns = columns;
  form.codes = {codes->data, int(q.bits), rows, 1, false};
  form.zeros = {zeros->data, int(q.bits), 1, rows * q.bits / 32, false};
  form.zero = q.storedLess;
  form.scales = scale->data, form.scaleType = scale->storage;
  form.scaleRowStep = 1, form.scaleGroupStep = rows;
  form.groups = groups, form.group = q.group ? q.group : columns;
  order("g_idx", form);
  return integers(form);
}

Result<std::unique_ptr<WeightPart>> Gatherer::awq() {
  const SafeTensor *codes = need("qweight", {"I32"}), *zeros = need("qzeros", {"I32"}), *scale = need("scales", floats);
  if (!status)
    return status.error();
  if (codes->shape.size() != 2)
    refuse(ErrorCode::QuantTensorShape, "qweight: expects two dimensions, but got shape " + shapeText(codes->shape));
  if (!status)
    return status.error();
  const uint64_t columns = codes->shape[0], words = codes->shape[1], rows = 8 * words, groups = groupsOf(columns);
  expect("scales", *scale, {groups, rows});
  expect("qzeros", *zeros, {groups, words});
  IntegerForm form;
  form.rows = rows, form.columns = columns;
  form.codes = {codes->data, 4, 1, words, true};
  form.byColumn = true;
  form.zeros = {zeros->data, 4, 1, words, true};
  form.zero = 0;
  form.scales = scale->data, form.scaleType = scale->storage;
  form.scaleRowStep = 1, form.scaleGroupStep = rows;
  form.groups = groups, form.group = q.group ? q.group : columns;
  return integers(form);
}

const SafeTensor *Gatherer::scales(uint64_t rows, uint64_t groups, std::initializer_list<const char *> types) {
  const bool inverse = q.form == Form::Float8 && weight.tensors.count("weight_scale_inv");
  const char *role = inverse ? "weight_scale_inv" : "weight_scale";
  const SafeTensor *scale = need(role, types);
  if (!scale)
    return nullptr;
  if (inverse && weight.tensors.count("weight_scale"))
    refuse(ErrorCode::QuantTensorShape, "expects weight_scale or weight_scale_inv, but both are there");
  if (q.strategy == Strategy::Tensor
          ? elementsOf(*scale) != 1
          : scale->shape.empty() || scale->shape[0] != rows || elementsOf(*scale) != rows * groups)
    refuse(ErrorCode::QuantTensorShape, std::string(role) + ": expects shape " +
                                            (q.strategy == Strategy::Tensor ? "[1]" : shapeText({rows, groups})) +
                                            ", but got " + shapeText(scale->shape));
  return scale;
}

Result<std::unique_ptr<WeightPart>> Gatherer::packed() {
  const SafeTensor *codes = need("weight_packed", {"I32"}), *shape = need("weight_shape", {"I64", "I32"});
  if (!status)
    return status.error();
  if (codes->shape.size() != 2 || elementsOf(*shape) != 2)
    refuse(ErrorCode::QuantTensorShape,
           "expects weight_packed of two dimensions and weight_shape of two numbers, but got shapes " +
               shapeText(codes->shape) + " and " + shapeText(shape->shape));
  if (!status)
    return status.error();
  uint64_t sizes[2] = {};
  const uint64_t each = shape->bytes / 2;
  for (uint64_t i = 0; i < shape->bytes; ++i)
    sizes[i / each] |= uint64_t(shape->data[i]) << 8 * (i % each);
  const uint64_t rows = codes->shape[0], words = codes->shape[1], columns = sizes[1];
  if (sizes[0] != rows || columns == 0 || columns > words * 32 || ceilDiv(columns * q.bits, 32) != words) {
    refuse(ErrorCode::QuantTensorShape, "weight_shape: expects what weight_packed " + shapeText(codes->shape) +
                                            " has of " + std::to_string(q.bits) + " bits, but got " +
                                            shapeText({sizes[0], sizes[1]}));
    return status.error();
  }
  const uint64_t groups = q.strategy == Strategy::Group ? groupsOf(columns) : 1;
  const SafeTensor *scale = scales(rows, groups, floats);
  IntegerForm form;
  form.rows = rows, form.columns = columns;
  form.codes = {codes->data, int(q.bits), 1, words, false};
  form.zero = q.zeroPoints ? 0 : 1 << (q.bits - 1);
  expectNoZeros();
  if (q.zeroPoints && q.strategy == Strategy::Tensor)
    refuse(ErrorCode::FolderQuantization, "expects no zero points where one scale is for all");
  if (q.zeroPoints)
    if (const SafeTensor *zeros = need("weight_zero_point", {"I32"})) {
      expect("weight_zero_point", *zeros, {ceilDiv(rows * q.bits, 32), groups});
      form.zeros = {zeros->data, int(q.bits), groups, 1, false};
    }
  if (!status)
    return status.error();
  form.scales = scale->data, form.scaleType = scale->storage;
  form.scaleRowStep = q.strategy == Strategy::Tensor ? 0 : groups, form.scaleGroupStep = 1;
  form.groups = groups, form.group = q.strategy == Strategy::Group && q.group ? q.group : columns;
  order("weight_g_idx", form);
  // compressed-tensors 0.12 writes -1 for each column where they are in order, and takes one -1 for that.
  for (uint64_t c = 0; status && form.groupOf && c < columns; ++c)
    if (std::all_of(form.groupOf + 4 * c, form.groupOf + 4 * c + 4, [](uint8_t byte) { return byte == 0xff; }))
      form.groupOf = nullptr;
  return integers(form);
}

Result<std::unique_ptr<WeightPart>> Gatherer::bytes() {
  const SafeTensor *codes = need("weight", {"I8"});
  if (!status)
    return status.error();
  if (codes->shape.size() != 2)
    refuse(ErrorCode::QuantTensorShape, "weight: expects two dimensions, but got shape " + shapeText(codes->shape));
  if (!status)
    return status.error();
  const uint64_t rows = codes->shape[0], columns = codes->shape[1];
  const uint64_t groups = q.strategy == Strategy::Group ? groupsOf(columns) : 1;
  const SafeTensor *scale = scales(rows, groups, floats);
  IntegerForm form;
  form.rows = rows, form.columns = columns;
  form.bytes = reinterpret_cast<const int8_t *>(codes->data);
  form.zero = 0;
  expectNoZeros();
  if (q.zeroPoints && q.strategy == Strategy::Tensor)
    refuse(ErrorCode::FolderQuantization, "expects no zero points where one scale is for all");
  if (q.zeroPoints)
    if (const SafeTensor *zeros = need("weight_zero_point", {"I8"})) {
      if (zeros->shape.empty() || zeros->shape[0] != rows || elementsOf(*zeros) != rows * groups)
        expect("weight_zero_point", *zeros, {rows, groups});
      form.zeroBytes = reinterpret_cast<const int8_t *>(zeros->data);
    }
  if (!status)
    return status.error();
  form.scales = scale->data, form.scaleType = scale->storage;
  form.scaleRowStep = q.strategy == Strategy::Tensor ? 0 : groups, form.scaleGroupStep = 1;
  form.groups = groups, form.group = q.strategy == Strategy::Group && q.group ? q.group : columns;
  return integers(form);
}

Result<std::unique_ptr<WeightPart>> Gatherer::float8() {
  const SafeTensor *codes = need("weight", {"F8_E4M3"});
  if (!status)
    return status.error();
  if (codes->shape.size() != 2)
    refuse(ErrorCode::QuantTensorShape, "weight: expects two dimensions, but got shape " + shapeText(codes->shape));
  if (!status)
    return status.error();
  Float8Form form;
  form.rows = codes->shape[0], form.columns = codes->shape[1], form.codes = codes->data;
  form.blockRows = q.strategy == Strategy::Block ? q.blockRows : q.strategy == Strategy::Channel ? 1 : form.rows;
  form.blockColumns = q.strategy == Strategy::Block ? q.blockColumns : form.columns;
  const SafeTensor *scale = scales(ceilDiv(form.rows, form.blockRows), ceilDiv(form.columns, form.blockColumns),
                                   {"f32", "f16", "bf16", "F8_E8M0"});
  if (!status)
    return status.error();
  form.scales = scale->data, form.scaleType = scale->storage, form.powers = scale->other == "F8_E8M0";
  return float8Part(weight.file + ": tensors of '" + printable(weight.name) + "'", form);
}

Result<std::unique_ptr<WeightPart>> Gatherer::read() {
  switch (q.form) {
  case Form::Gptq:
    return gptq();
  case Form::Awq:
    return awq();
  case Form::Packed:
    return packed();
  case Form::Bytes:
    return bytes();
  case Form::Float8:
    return float8();
  case Form::None:
  case Form::Mxfp4:
    break;
  }
  return fail(ErrorCode::FolderQuantization, "%s: tensors of '%s': expects weights of floats", weight.file.c_str(),
              printable(weight.name).c_str());
}

} // namespace

std::string roleOf(const FolderQuantization &form, const SafeTensor &tensor) {
  const size_t dot = tensor.name.rfind('.');
  const std::string role = dot == std::string::npos ? "" : tensor.name.substr(dot + 1);
  const auto among = [&](std::initializer_list<const char *> roles) {
    return std::find(roles.begin(), roles.end(), role) != roles.end();
  };
  bool is = false;
  switch (form.form) {
  case Form::Gptq:
    is = among({"qweight", "qzeros", "scales", "g_idx"});
    break;
  case Form::Awq:
    is = among({"qweight", "qzeros", "scales"});
    break;
  case Form::Packed:
    is = among({"weight_packed", "weight_shape", "weight_scale", "weight_zero_point", "weight_g_idx"});
    break;
  case Form::Bytes:
    is = among({"weight_scale", "weight_zero_point"}) || (role == "weight" && tensor.other == "I8");
    break;
  case Form::Float8:
    is = among({"weight_scale", "weight_scale_inv"}) || (role == "weight" && tensor.other == "F8_E4M3");
    break;
  case Form::None:
  case Form::Mxfp4:
    break;
  }
  return is ? role : "";
}

bool scalesActivations(const std::string &name) {
  for (const std::string_view ending : {".input_scale", ".activation_scale", ".input_zero_point"})
    if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0)
      return true;
  return false;
}

Result<std::unique_ptr<WeightPart>> quantisedPart(const FolderQuantization &form, const GatheredWeight &weight) {
  return Gatherer(form, weight).read();
}

} // namespace stepdown
