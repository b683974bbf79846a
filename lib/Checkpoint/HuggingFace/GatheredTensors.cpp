#include "lib/Checkpoint/HuggingFace/GatheredTensors.h"
#include "lib/Checkpoint/GgufShard.h"
#include "lib/Checkpoint/HuggingFace/FloatWeight.h"

#include <algorithm>

namespace stepdown {
namespace {

/// What the tensors of gate and up are called, of "blk.N.ffn_gate_up_exps.KIND"; for another name that alone.
std::vector<std::string> halvesOf(const std::string &ours) {
  const std::string both = "gate_up";
  const size_t at = ours.find(both);
  if (at == ours.npos)
    return {ours};
  return {std::string(ours).replace(at, both.size(), "gate"), std::string(ours).replace(at, both.size(), "up")};
}

Error shapeError(const GatheredWeight &weight, const char *role, const char *expected) {
  std::string text;
  for (uint64_t each : weight.tensors.at(role).shape)
    text += (text.empty() ? "[" : ", ") + std::to_string(each);
  return fail(ErrorCode::QuantTensorShape, "%s: tensors of '%s': %s: expects shape %s, but got %s", weight.file.c_str(),
              printable(weight.name).c_str(), role, expected, (text.empty() ? "[]" : text + "]").c_str());
}

} // namespace

void GatheredTensors::add(const TensorRule &rule, const std::string &ours, uint64_t expert, const std::string &role,
                          const std::string &file, const SafeTensor &tensor) {
  using Kind = TensorRule::Kind;
  if (rule.kind == Kind::Transposed || rule.kind == Kind::Groups || rule.kind == Kind::Halves) {
    GatheredWeight &weight = (rule.kind == Kind::Transposed ? transposed
                              : rule.kind == Kind::Groups   ? groupsOf
                                                            : fusedGates)[ours];
    weight.name = tensor.name, weight.file = file;
    weight.tensors.emplace(role, tensor);
    return;
  }
  const bool stacked = rule.kind == TensorRule::Kind::Blocks || rule.kind == TensorRule::Kind::Scales;
  GatheredWeight &weight = stacked                               ? stacks[ours]
                           : rule.kind == TensorRule::Kind::Pair ? pairs[ours]
                                                                 : linears[ours].parts[expert];
  if (rule.kind == TensorRule::Kind::Expert)
    linears[ours].ofExperts = true;
  if (weight.tensors.empty()) {
    const size_t end = stacked ? tensor.name.rfind('_') : tensor.name.rfind('.');
    weight.name = tensor.name.substr(0, end), weight.file = file;
  }
  weight.tensors.emplace(role, tensor);
}

/// Adds what `from` makes; E1407 where the folder has it in another form too.
Status GatheredTensors::put(const GatheredWeight &from, const StoredTensor &tensor) {
  return builder.add(tensor)
             ? Status(Done{})
             : fail(ErrorCode::SafetensorsDuplicate,
                    "%s: tensors of '%s': expects one form of the weight, but got a tensor of floats beside them",
                    from.file.c_str(), printable(from.name).c_str());
}

Status GatheredTensors::finishLinear(const std::string &ours, Linear &linear, std::deque<std::string> &names) {
  std::vector<std::unique_ptr<WeightPart>> parts;
  for (auto &[expert, weight] : linear.parts) {
    if (expert != parts.size() || expert >= std::max<uint64_t>(config.experts, 1))
      break;
    const auto plain = weight.tensors.find("weight");
    if (plain != weight.tensors.end() && weight.tensors.size() == 1 && plain->second.other.empty()) {
      const SafeTensor &tensor = plain->second;
      if (tensor.shape.size() != 2)
        return shapeError(weight, "weight", "of two dimensions");
      parts.push_back(plainPart(tensor.storage, tensor.data, tensor.shape[0], tensor.shape[1]));
    } else {
      Result<std::unique_ptr<WeightPart>> part = quantisedPart(config.quantization, weight);
      if (!part)
        return part.error();
      parts.push_back(std::move(*part));
    }
    for (const auto &[role, tensor] : weight.tensors)
      parts.back()->liesIn(tensor.data, tensor.bytes);
    if (parts.back()->rows != parts.front()->rows || parts.back()->columns != parts.front()->columns)
      return fail(ErrorCode::SafetensorsShape,
                  "%s: tensors of '%s': expects %llu rows of %llu columns, as expert 0 has, but got %llu of %llu",
                  weight.file.c_str(), printable(weight.name).c_str(), (unsigned long long)parts.front()->rows,
                  (unsigned long long)parts.front()->columns, (unsigned long long)parts.back()->rows,
                  (unsigned long long)parts.back()->columns);
  }
  const uint64_t wanted = linear.ofExperts ? config.experts : 1;
  if (parts.size() != wanted || linear.parts.size() != wanted) {
    const GatheredWeight &first = linear.parts.begin()->second;
    return fail(ErrorCode::ConfigContradiction,
                "%s: tensors of '%s': expects %llu experts, as config.json says, but got %zu, of which %zu are the "
                "first of them",
                first.file.c_str(), printable(first.name).c_str(), (unsigned long long)wanted, linear.parts.size(),
                parts.size());
  }
  auto source = std::make_shared<PartSource>(std::move(parts));
  builder.keep(source);
  names.push_back(ours);
  return put(linear.parts.begin()->second, source->tensor(names.back(), linear.ofExperts));
}

/// Blocks [experts, rows, columns / 32, 16] and scales [experts, rows, columns / 32]; rows of gate and up take turns.
Status GatheredTensors::finishStacks(const std::string &ours, const GatheredWeight &stack,
                                     std::deque<std::string> &names) {
  for (const char *role : {"blocks", "scales"})
    if (!stack.tensors.count(role))
      return fail(ErrorCode::QuantTensorMissing, "%s: tensors of '%s': expects %s, but it is missing",
                  stack.file.c_str(), printable(stack.name).c_str(), role);
  const SafeTensor &blocks = stack.tensors.at("blocks"), &scales = stack.tensors.at("scales");
  for (const SafeTensor *tensor : {&blocks, &scales})
    if (tensor->other != "U8")
      return fail(ErrorCode::QuantTensorShape, "%s: tensor '%s': expects dtype U8, but got %s", stack.file.c_str(),
                  printable(tensor->name).c_str(), tensor->other.empty() ? "floats" : tensor->other.c_str());
  const std::vector<std::string> halves = halvesOf(ours);
  const uint64_t turns = halves.size();
  if (blocks.shape.size() != 4 || blocks.shape[3] != 16 || blocks.shape[0] != config.experts ||
      blocks.shape[1] % turns != 0)
    return shapeError(stack, "blocks", "[experts, rows, columns / 32, 16]");
  if (scales.shape.size() != 3 || !std::equal(scales.shape.begin(), scales.shape.end(), blocks.shape.begin()))
    return shapeError(stack, "scales", "[experts, rows, columns / 32] of the blocks");
  const uint64_t all = blocks.shape[1], columns = blocks.shape[2] * 32;
  for (uint64_t turn = 0; turn < turns; ++turn) {
    std::vector<std::unique_ptr<WeightPart>> parts;
    for (uint64_t expert = 0; expert < config.experts; ++expert) {
      parts.push_back(mxfp4Part(blocks.data, scales.data, all / turns, columns, expert * all + turn, turns));
      for (const SafeTensor *tensor : {&blocks, &scales})
        parts.back()->liesIn(tensor->data + expert * (tensor->bytes / config.experts), tensor->bytes / config.experts);
    }
    auto source = std::make_shared<PartSource>(std::move(parts));
    builder.keep(source);
    names.push_back(halves[turn]);
    if (Status added = put(stack, source->tensor(names.back(), true)); !added)
      return added;
  }
  return Done{};
}

/// Biases [experts, 2 * inner] of gate and up, which take turns.
Status GatheredTensors::finishPairs(const std::string &ours, const GatheredWeight &biases,
                                    std::deque<std::string> &names) {
  const SafeTensor &tensor = biases.tensors.at("bias");
  if (tensor.shape.size() != 2 || tensor.shape[0] != config.experts || tensor.shape[1] % 2 != 0)
    return shapeError(biases, "bias", "[experts, 2 * rows]");
  std::vector<float> all(tensor.shape[0] * tensor.shape[1]);
  decode(*blockFormat(tensor.storage), tensor.data, all.size(), all.data());
  for (size_t turn = 0; turn < 2; ++turn) {
    auto values = std::make_shared<std::vector<float>>();
    for (size_t i = turn; i < all.size(); i += 2)
      values->push_back(all[i]);
    builder.keep(values);
    names.push_back(halvesOf(ours)[turn]);
    StoredTensor stored{names.back(), Storage::F32, 2, {tensor.shape[1] / 2, tensor.shape[0], 1, 1}, 0, 0,
                        nullptr,      false};
    stored.bytes = values->size() * sizeof(float);
    stored.data = reinterpret_cast<const uint8_t *>(values->data());
    if (Status added = put(biases, stored); !added)
      return added;
  }
  return Done{};
}

/// A weight [experts, 2 * inner, in], of each expert the rows of its gate and then those of up.
Status GatheredTensors::finishHalves(const std::string &ours, const GatheredWeight &weight,
                                     std::deque<std::string> &names) {
  const SafeTensor &tensor = weight.tensors.at("weight");
  if (tensor.shape.size() != 3 || tensor.shape[0] != config.experts || tensor.shape[1] % 2 != 0)
    return shapeError(weight, "weight", "[experts, 2 * rows, columns]");
  const uint64_t rows = tensor.shape[1] / 2, bytes = tensor.bytes / (2 * config.experts);
  for (uint64_t half = 0; half < 2; ++half) {
    std::vector<std::unique_ptr<WeightPart>> parts;
    for (uint64_t expert = 0; expert < config.experts; ++expert) {
      const uint8_t *data = tensor.data + (2 * expert + half) * bytes;
      parts.push_back(plainPart(tensor.storage, data, rows, tensor.shape[2]));
      parts.back()->liesIn(data, bytes);
    }
    auto source = std::make_shared<PartSource>(std::move(parts));
    builder.keep(source);
    names.push_back(halvesOf(ours)[half]);
    if (Status added = put(weight, source->tensor(names.back(), true)); !added)
      return added;
  }
  return Done{};
}

/// Adds `part` of a file's floats as the tensor `ours`.
Status GatheredTensors::put(const GatheredWeight &from, const std::string &ours, std::unique_ptr<WeightPart> part,
                            std::deque<std::string> &names) {
  std::vector<std::unique_ptr<WeightPart>> parts;
  parts.push_back(std::move(part));
  auto source = std::make_shared<PartSource>(std::move(parts));
  builder.keep(source);
  names.push_back(ours);
  return put(from, source->tensor(names.back(), false));
}

/// A weight [in, out]; or, of each head of keys, the rows of its query heads, of its keys and of its values.
Status GatheredTensors::finishOrdered(const std::string &ours, const GatheredWeight &weight, bool groups,
                                      std::deque<std::string> &names) {
  const SafeTensor &tensor = weight.tensors.at("weight");
  if (tensor.shape.size() != 2)
    return shapeError(weight, "weight", "of two dimensions");
  if (!groups) {
    auto part = transposedPart(tensor.storage, tensor.data, tensor.shape[1], tensor.shape[0]);
    part->liesIn(tensor.data, tensor.bytes);
    return put(weight, ours, std::move(part), names);
  }
  const uint64_t size = config.headSize, queries = config.heads / config.keyHeads * size, step = queries + 2 * size;
  if (tensor.shape[0] != config.keyHeads * step)
    return shapeError(weight, "weight", "[(num_attention_heads + 2 * num_key_value_heads) * head_dim, hidden_size]");
  const uint64_t rowBytes = tensor.bytes / tensor.shape[0];
  const std::string all = "qkv";
  for (auto [letter, first, run] :
       {std::tuple("q", uint64_t(0), queries), std::tuple("k", queries, size), std::tuple("v", queries + size, size)}) {
    auto part = plainPart(tensor.storage, tensor.data + first * rowBytes, config.keyHeads * run, tensor.shape[1],
                          RowRuns{run, step});
    if (Status added =
            put(weight, std::string(ours).replace(ours.find(all), all.size(), letter), std::move(part), names);
        !added)
      return added;
  }
  return Done{};
}

Status GatheredTensors::finish(std::deque<std::string> &names) {
  for (auto &[ours, linear] : linears)
    if (Status made = finishLinear(ours, linear, names); !made)
      return made;
  for (const auto &[ours, stack] : stacks)
    if (Status made = finishStacks(ours, stack, names); !made)
      return made;
  for (bool groups : {false, true})
    for (const auto &[ours, weight] : groups ? groupsOf : transposed)
      if (Status made = finishOrdered(ours, weight, groups, names); !made)
        return made;
  for (const auto &[ours, weight] : fusedGates)
    if (Status made = finishHalves(ours, weight, names); !made)
      return made;
  for (const auto &[ours, biases] : pairs)
    if (Status made = finishPairs(ours, biases, names); !made)
      return made;
  return Done{};
}

} // namespace stepdown
