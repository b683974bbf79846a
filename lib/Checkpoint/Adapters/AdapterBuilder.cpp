#include "lib/Checkpoint/Adapters/AdapterBuilder.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/Folder.h"
#include "lib/Checkpoint/HuggingFace/Safetensors.h"

#include <cmath>

namespace stepdown {
namespace {

bool endsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

} // namespace

Status AdapterBuilder::expectLinear(const std::string &ours, const std::string &theirs) const {
  const std::string at = file + ": tensors of '" + printable(theirs) + "': ";
  for (const char *table : {"token_embd.weight", "position_embd.weight", "token_types.weight"})
    if (ours == table)
      return fail(ErrorCode::AdapterModel, "%sexpects linears alone, but got %s, an embedding", at.c_str(), table);
  const StoredTensor *tensor = checkpoint.tensor(ours);
  if (!tensor && checkpoint.files().empty()) // an artifact's, which lists what is adapted there
    return fail(ErrorCode::AdapterRoom, "%sexpects a linear that %s has room for, but '%s' is none", at.c_str(),
                checkpoint.path().c_str(), printable(ours).c_str());
  if (!tensor && ours == "output.weight" && parameters.tiedHead)
    return fail(ErrorCode::AdapterModel,
                "%sexpects a head of its own in %s, but it is the embedding, which would change with it", at.c_str(),
                checkpoint.path().c_str());
  if (!tensor)
    return fail(ErrorCode::AdapterTensor, "%sexpects a linear of %s, which has no '%s'", at.c_str(),
                checkpoint.path().c_str(), printable(ours).c_str());
  if (tensor->dims[2] * tensor->dims[3] != 1)
    return fail(ErrorCode::AdapterModel, "%sexpects a linear that every token has, but got '%s', one of experts",
                at.c_str(), printable(ours).c_str());
  if (tensor->rank < 2 || tensor->dims[1] < 2 || !endsWith(ours, ".weight"))
    return fail(ErrorCode::AdapterModel, "%sexpects a linear, but got '%s', a vector", at.c_str(),
                printable(ours).c_str());
  return Done{};
}

/// A tensor [rows, columns], or a vector of `rows` where `columns` is 0, as float32.
Result<std::vector<float>> AdapterBuilder::numbers(const AdapterPart &part, uint64_t rows, uint64_t columns) const {
  const std::vector<uint64_t> expected = columns ? std::vector<uint64_t>{rows, columns} : std::vector<uint64_t>{rows};
  if (part.shape != expected)
    return fail(ErrorCode::AdapterShape, "%s: tensor '%s': expects shape %s, but got %s", file.c_str(),
                printable(part.name).c_str(), shapeText(expected).c_str(), shapeText(part.shape).c_str());
  const BlockFormat &format = *blockFormat(part.storage);
  std::vector<float> values(rows * std::max<uint64_t>(columns, 1));
  decode(format, part.data, values.size() / format.elements, values.data());
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return fail(ErrorCode::AdapterNumber, "%s: tensor '%s': element %zu: expects a finite number, but got %g",
                  file.c_str(), printable(part.name).c_str(), i, double(values[i]));
  return values;
}

/// Moves the rows of q or k to where the checkpoint has them: element j of pair k of a head is row 2 k + j where
/// neighbours rotate together, and row j * half + k where halves do.
void AdapterBuilder::reorder(const std::string &ours, std::vector<float> &rows, uint64_t columns) const {
  const bool rotates = endsWith(ours, ".attn_q.weight") || endsWith(ours, ".attn_k.weight");
  if (pairs == parameters.rope.pairs || !rotates || rows.empty())
    return;
  const uint64_t half = parameters.headSize / 2;
  const std::vector<float> before = rows;
  for (uint64_t row = 0; row < before.size() / columns; ++row) {
    const uint64_t head = row / (2 * half), k = row % (2 * half) / 2, j = row % 2;
    const uint64_t adjacent = row, halves = (head * 2 + j) * half + k;
    const uint64_t to = pairs == RopePairs::Halves ? adjacent : halves;
    const uint64_t from = pairs == RopePairs::Halves ? halves : adjacent;
    std::copy_n(before.begin() + from * columns, columns, rows.begin() + to * columns);
  }
}

Result<AdaptedLinear> AdapterBuilder::build(const std::string &ours, const GatheredAdapter &gathered) const {
  const std::string at = file + ": tensors of '" + printable(gathered.theirs) + "': ";
  for (const auto &[part, other] : {std::pair(&gathered.a, &gathered.b), std::pair(&gathered.b, &gathered.a)})
    if (!part->data)
      return fail(ErrorCode::AdapterTensor, "%sexpects A and B, but got %s alone", at.c_str(),
                  printable(other->data ? other->name : gathered.magnitudes.name).c_str());
  if (Status linear = expectLinear(ours, gathered.theirs); !linear)
    return linear.error();
  // Heads whose rows have another order here are moved as wholes.
  if (pairs != parameters.rope.pairs && endsWith(ours, ".attn_qkv.weight"))
    return fail(ErrorCode::AdapterModel, "%sexpects q, k and v apart, since the checkpoint rotates other pairs of them",
                at.c_str());
  if (pairs != parameters.rope.pairs && parameters.rope.dimensions != parameters.headSize)
    return fail(ErrorCode::AdapterModel,
                "%sexpects heads that rotate as a whole, since the checkpoint rotates other pairs of them, but %u of "
                "%u elements rotate",
                at.c_str(), parameters.rope.dimensions, parameters.headSize);
  const StoredTensor &tensor = *checkpoint.tensor(ours);
  AdaptedLinear linear{ours,
                       gathered.theirs,
                       gathered.a.shape.empty() ? 0 : gathered.a.shape[0],
                       tensor.dims[0],
                       tensor.dims[1],
                       1,
                       {},
                       {},
                       {}};
  // A rank above the smaller side of the linear adds nothing that a smaller one could not, but is trained.
  struct {
    const AdapterPart &part;
    uint64_t rows, columns;
    std::vector<float> &values;
  } const parts[] = {{gathered.a, linear.rank, linear.in, linear.a},
                     {gathered.b, linear.out, linear.rank, linear.b},
                     {gathered.magnitudes, linear.out, 0, linear.magnitudes}};
  for (const auto &each : parts) {
    if (!each.part.data)
      continue;
    Result<std::vector<float>> read = numbers(each.part, each.rows, each.columns);
    if (!read)
      return read.error();
    each.values = std::move(*read);
  }
  reorder(ours, linear.b, linear.rank);
  reorder(ours, linear.magnitudes, 1);
  return linear;
}

Result<Adapter> openAdapter(const std::string &path, const Checkpoint &checkpoint) {
  Result<ModelParameters> parameters = readParameters(checkpoint);
  if (!parameters)
    return parameters.error();
  return isFolder(path) ? openPeftAdapter(path, checkpoint, *parameters)
                        : openGgufAdapter(path, checkpoint, *parameters);
}

std::vector<std::string> adapterFiles(const std::string &path) {
  if (!isFolder(path))
    return {path};
  return {path + "/adapter_config.json", path + "/adapter_model.safetensors"};
}

} // namespace stepdown
