#include "runtime/Adapters/AdapterSet.h"

#include "runtime/Checksum.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <sys/stat.h>

namespace stepdown {
namespace {

constexpr size_t endingBytes = 7; // of ".lora_a" and ".lora_b"

/// The linear that the matrix `weight` is for, and whether it is the down matrix.
std::string linearOf(const Program &program, const stepdown_weight &weight, bool &down) {
  std::string name = program.string(weight.name);
  down = name.back() == 'a';
  name.resize(name.size() - endingBytes);
  return name;
}

/// Rows (of a down matrix) or columns (of an up matrix) that are the linear's.
uint64_t sizeOf(const stepdown_weight &weight, bool down) {
  return weight.dims[down ? 1 : 0] / weight.group_room * weight.group;
}

} // namespace

Error lacksAdapters(const Model &model) {
  return fail(ErrorCode::AdapterRoom,
              "%s: expects a model with room for adapters, but it has none; compile it again: stepdown-compile MODEL "
              "--adapters=N",
              model.artifact().path().c_str());
}

Result<std::unique_ptr<AdapterSet>> AdapterSet::create(const Model &model) {
  std::unique_ptr<AdapterSet> set(new AdapterSet(model));
  const FileTarget &target = *model.adapted()->target;
  Result<Memory> memory = model.device().allocate(target.adapterMemory(), "adapters");
  if (!memory)
    return memory.error();
  set->memory = Allocation(model.device(), *memory);
  uint64_t slots = 1;
  for (const stepdown_weight &weight : target.program.weights)
    if (weight.packing == STEPDOWN_PACKING_ADAPTERS)
      slots = weight.dims[2]; // of all: see ProgramCheck.cpp
  set->loaded.resize(slots);
  set->identities.assign(slots, 0);
  for (uint64_t i = 0; i < slots; ++i)
    set->holders.push_back(std::make_shared<const int32_t>(static_cast<int32_t>(i)));
  return set;
}

/// What the reader needs of the checkpoint: its keys, and the names and sizes of the linears that can be adapted.
Result<Checkpoint> AdapterSet::described() const {
  CheckpointBuilder builder;
  builder.setMetadata(std::shared_ptr<const Metadata>(std::shared_ptr<void>(), &model.metadata()), {});
  auto names = std::make_shared<std::vector<std::string>>();
  const Program &p = model.adapted()->program();
  names->reserve(p.weights.count + 1); // views of them stay where they are
  std::map<std::string, std::pair<uint64_t, uint64_t>> sizes;
  for (const stepdown_weight &weight : p.weights) {
    if (weight.packing != STEPDOWN_PACKING_ADAPTERS)
      continue;
    bool down;
    const std::string linear = linearOf(p, weight, down);
    (down ? sizes[linear].first : sizes[linear].second) = sizeOf(weight, down);
  }
  for (const auto &[name, size] : sizes) {
    names->push_back(name);
    StoredTensor tensor{names->back(), Storage::F32, 2, {size.first, size.second, 1, 1}, 0, 0, nullptr, false};
    builder.add(tensor);
  }
  builder.keep(names);
  return builder.finish();
}

std::string AdapterSet::listed() const {
  std::string all;
  for (const std::string &name : loaded)
    if (!name.empty())
      all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "none" : all;
}

Result<int32_t> AdapterSet::slot(const std::string &name) const {
  if (name.empty())
    return 0;
  const auto found = std::find(loaded.begin() + 1, loaded.end(), name);
  if (found == loaded.end())
    return fail(ErrorCode::AdapterName, "adapter '%.100s': expects the name of one that is loaded, which are: %s",
                name.c_str(), listed().c_str());
  return static_cast<int32_t>(found - loaded.begin());
}

Result<int32_t> AdapterSet::load(const std::string &name, const std::string &path, double scale, Queue &queue) {
  if (name.empty() || slot(name))
    return fail(ErrorCode::AdapterName, "adapter '%.100s': expects a name that none has yet, but loaded are: %s",
                name.c_str(), listed().c_str());
  if (!std::isfinite(scale))
    return fail(ErrorCode::AdapterNumber, "adapter '%.100s': expects a finite scale, but got %g", name.c_str(), scale);
  const auto free = std::find(loaded.begin() + 1, loaded.end(), "");
  if (free == loaded.end())
    return fail(ErrorCode::AdapterRoom, "adapter '%.100s': expects a free slot, but all %zu are taken: %s",
                name.c_str(), loaded.size() - 1, listed().c_str());
  // Its files are read into memory as a whole. Numbers take at most four times what float16 does; a model is larger.
  const uint64_t most = 4 * (model.adapted()->target->adapterMemory() / loaded.size()) + (uint64_t(64) << 20);
  uint64_t bytes = 0;
  for (const std::string &file : adapterFiles(path)) {
    struct stat info;
    bytes += stat(file.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0; // what is missing is told below
  }
  if (bytes > most)
    return fail(ErrorCode::AdapterRoom,
                "%s: expects an adapter of at most %llu bytes in this model's slots, but got %llu", path.c_str(),
                static_cast<unsigned long long>(most), static_cast<unsigned long long>(bytes));
  Result<Checkpoint> checkpoint = described();
  if (!checkpoint)
    return checkpoint.error();
  Result<Adapter> adapter = openAdapter(path, *checkpoint);
  if (!adapter)
    return adapter.error();
  const auto slot = static_cast<int32_t>(free - loaded.begin());
  Result<uint64_t> packed = pack(*adapter, scale, slot, queue);
  if (!packed)
    return packed.error();
  identities[static_cast<size_t>(slot)] = std::max<uint64_t>(1, *packed);
  *free = name;
  return slot;
}

Status AdapterSet::unload(const std::string &name) {
  Result<int32_t> which = name.empty() ? Result<int32_t>(-1) : slot(name);
  if (!which || *which < 1)
    return fail(ErrorCode::AdapterName, "adapter '%.100s': expects the name of one that is loaded, which are: %s",
                name.c_str(), listed().c_str());
  if (holders[static_cast<size_t>(*which)].use_count() > 1)
    return fail(ErrorCode::AdapterName, "adapter '%.100s': expects no request that has it or waits for it, but some do",
                name.c_str());
  loaded[static_cast<size_t>(*which)].clear();
  identities[static_cast<size_t>(*which)] = 0;
  return Done{};
}

namespace {

/// A power of two by which column r of A is multiplied, and row r of B, times `scale`, is divided, so that the largest
/// of either are of one size: binary16 then keeps of both as much as of either.
double balanceOf(const AdaptedLinear &linear, double scale, uint64_t r) {
  double a = 0, b = 0;
  for (uint64_t i = 0; i < linear.in; ++i)
    a = std::max(a, std::fabs(double(linear.a[r * linear.in + i])));
  for (uint64_t i = 0; i < linear.out; ++i)
    b = std::max(b, std::fabs(scale * double(linear.b[i * linear.rank + r])));
  if (a == 0 || b == 0 || !std::isfinite(b))
    return 1; // of nothing, and of what is refused
  return std::ldexp(1, (std::ilogb(b) - std::ilogb(a)) / 2);
}

} // namespace

/// Returns a checksum of all that it packs.
Result<uint64_t> AdapterSet::pack(const Adapter &adapter, double scale, int32_t slot, Queue &queue) {
  std::map<std::string, const AdaptedLinear *> linears;
  for (const AdaptedLinear &linear : adapter.linears) {
    if (!linear.magnitudes.empty())
      return fail(
          ErrorCode::AdapterValue,
          "%s: key 'use_dora': expects false beside the weights, since DoRA's norm is of the merged weight, but "
          "it is true; stepdown-compile --adapter merges it",
          adapter.path.c_str());
    linears[linear.tensor] = &linear;
  }
  const Program &p = model.adapted()->program();
  std::vector<uint16_t> values;
  std::vector<uint64_t> sums;
  for (const stepdown_weight &weight : p.weights) {
    if (weight.packing != STEPDOWN_PACKING_ADAPTERS)
      continue;
    bool down;
    const std::string name = linearOf(p, weight, down);
    const uint64_t columns = weight.dims[0], rows = weight.dims[1];
    values.assign(rows * columns, 0);
    if (const auto found = linears.find(name); found != linears.end()) {
      const AdaptedLinear &linear = *found->second;
      if (linear.rank > (down ? columns : rows))
        return fail(ErrorCode::AdapterRoom,
                    "%s: tensors of '%s': expects a rank of at most %llu, which the model was compiled for, but got "
                    "%llu; --adapter-rank says how large it may be",
                    adapter.path.c_str(), linear.theirs.c_str(), static_cast<unsigned long long>(down ? columns : rows),
                    static_cast<unsigned long long>(linear.rank));
      const auto placed = [&](uint64_t i) { return i / weight.group * weight.group_room + i % weight.group; };
      bool sound = true, kept = true;
      for (uint64_t r = 0; r < linear.rank; ++r) {
        const double by = balanceOf(linear, scale * linear.scale, r);
        bool given = false, some = false; // numbers that are not zero, and what is left of them
        const auto put = [&](uint64_t row, uint64_t column, double value) {
          const uint16_t bits = f32ToF16(static_cast<float>(value));
          sound &= (bits & 0x7c00) != 0x7c00;
          given |= value != 0, some |= (bits & 0x7fff) != 0;
          values[row * columns + column] = bits;
        };
        for (uint64_t i = 0; i < (down ? linear.in : linear.out); ++i)
          if (down)
            put(placed(i), r, by * double(linear.a[r * linear.in + i]));
          else
            put(r, placed(i), scale * linear.scale / by * double(linear.b[i * linear.rank + r]));
        kept &= some || !given;
      }
      if (!sound || !kept)
        return fail(ErrorCode::AdapterNumber, "%s: tensors of '%s': expects numbers that f16 holds, but got %s",
                    adapter.path.c_str(), linear.theirs.c_str(), sound ? "ones that are zeros there" : "a larger one");
    }
    const uint64_t bytes = values.size() * sizeof values[0];
    sums.push_back(checksumOf(values.data(), bytes));
    Status sent = queue.upload(memory->address + weight.offset + uint64_t(slot) * bytes, values.data(), bytes);
    if (sent && !queue.keepsUploads()) // `values` may be read until then
      sent = queue.sync();
    if (!sent)
      return sent.error();
  }
  return checksumOf(sums.data(), sums.size() * sizeof sums[0]);
}

} // namespace stepdown
