#include "runtime/Load/Model.h"

#include "include/stepdown/CacheDims.h"
#include <algorithm>
#include <cstring>

namespace stepdown {

Result<Metadata> parseMetadata(const std::string &file, std::string_view section) {
  uint64_t count;
  if (section.size() < sizeof count)
    return fail(ErrorCode::ArtifactSection, "%s: metadata: expects at least 8 bytes, but the section has %zu",
                file.c_str(), section.size());
  std::memcpy(&count, section.data(), sizeof count);
  size_t offset = sizeof count;
  return Metadata::parse(file, reinterpret_cast<const uint8_t *>(section.data()), section.size(), offset, count);
}

Result<std::shared_ptr<const Model>> Model::load(const std::string &path, std::shared_ptr<Device> device,
                                                 const char *level, FileUse use) {
  Result<ArtifactFile> file = ArtifactFile::open(path, use);
  if (!file)
    return file.error();
  if (Status model = file->expectModel(); !model)
    return model.error();
  Result<ChosenCode> chosen = file->chooseCode(*device, level);
  if (!chosen)
    return chosen.error();
  std::shared_ptr<Model> model(new Model(std::move(*file)));
  Result<Metadata> pairs = parseMetadata(path, model->file.metadata());
  if (!pairs)
    return pairs.error();
  model->pairs = std::make_unique<Metadata>(std::move(*pairs));
  if (auto text = model->pairs->string("general.architecture"))
    model->family = *text;
  if (auto text = model->pairs->string("general.name"))
    model->title = *text;
  model->machine = std::move(device);
  const std::vector<FileTarget> &targets = model->file.targets();
  const FileTarget &target = targets[chosen->target];
  if (Status loaded = model->loadPart(model->plain, target, chosen->section); !loaded)
    return loaded.error();
  model->firstWeight = target.firstWeight, model->endOfWeights = target.endOfWeights;
  for (const FileTarget &other : targets)
    if (other.name == target.name + STEPDOWN_ADAPTED)
      for (size_t i = 0; i < other.code.size(); ++i)
        if (other.code[i].level == target.code[chosen->section].level) {
          if (Status loaded = model->loadPart(model->withAdapters, other, i); !loaded)
            return loaded.error();
          model->firstWeight = std::min(model->firstWeight, other.firstWeight);
          model->endOfWeights = std::max(model->endOfWeights, other.endOfWeights);
        }
  Result<uint64_t> weights = model->machine->adopt(model->file.weights() + model->firstWeight, model->weightBytes());
  if (!weights)
    return weights.error();
  model->weightsAddress = *weights - model->firstWeight;
  return std::shared_ptr<const Model>(std::move(model));
}

Status Model::loadPart(ProgramPart &part, const FileTarget &target, size_t section) {
  const CodeSection &code = target.code[section];
  part.target = &target;
  part.section = section;
  Result<uint64_t> base = machine->loadCode(code.bytes, code.size, code.checksum);
  if (!base)
    return base.error();
  for (const stepdown_entry &entry : code.index.entries) {
    Result<uint64_t> kernel =
        machine->kernel(*base, entry.offset, code.index.name(entry), code.index.launches[entry.launch]);
    if (!kernel)
      return kernel.error();
    part.kernels.push_back(*kernel);
  }
  return Done{};
}

const char *Model::level() const { return target().level(plain.section); }

uint64_t Model::cacheBytesPerPosition() const {
  uint64_t bytes = 0;
  for (const stepdown_cache_group &g : program().groups)
    bytes += uint64_t(g.layers) * g.kv_heads * (uint64_t(g.key_dim) + g.value_dim) * stepdown_cached_bytes(g.element);
  return bytes;
}

} // namespace stepdown
