// The functions of a plain module: loaded from its artifact, called with arrays. Immutable once loaded; any number of
// threads may call at a time.
#pragma once
#include "runtime/Device.h"
#include "runtime/Functions/CallRoom.h"
#include "runtime/Load/ArtifactFile.h"
#include <memory>

namespace stepdown {

/// A contiguous, row-major array. Of a signature: dims may be -1, and there are no data.
struct Array {
  uint32_t element = STEPDOWN_F32; ///< enum stepdown_element
  std::vector<int64_t> dims;
  const void *data = nullptr;
  uint64_t elements() const;
  size_t bytes() const;
};

Array arrayOf(const stepdown_value &value); ///< a signature's
const char *elementName(uint32_t element);  ///< "f32"
size_t elementBytes(uint32_t element);
/// "f32 [3, ?]"; "f32 []" is a scalar.
std::string describe(const Array &array);

struct FunctionSignature {
  const char *name;
  std::vector<Array> arguments, results;
};

class FunctionLibrary;

/// What a call returned; its arrays live as long as it does.
class CallResults {
public:
  ~CallResults();
  CallResults(const CallResults &) = delete;
  const std::vector<Array> &arrays() const { return values; }

private:
  friend class FunctionLibrary;
  CallResults() = default;
  std::vector<Array> values;
  std::vector<std::unique_ptr<uint8_t[]>> copies; ///< of results that do not lie in memory of this call
  std::shared_ptr<CallRooms> rooms;
  std::unique_ptr<CallRoom> room;
  size_t used = 0;
};

class FunctionLibrary {
public:
  /// Loads `path` onto `device`, with the code of `level` or, when null, of the best level that the device accepts;
  /// E05xx.
  static Result<std::shared_ptr<const FunctionLibrary>> load(const std::string &path, std::shared_ptr<Device> device,
                                                             const char *level = nullptr,
                                                             FileUse use = FileUse::mapped);

  const ArtifactFile &artifact() const { return file; }
  /// What the artifact holds for the device.
  const FileTarget &target() const { return file.targets()[chosen.target]; }
  const char *level() const;
  Device &device() const { return rooms->device(); }
  const std::vector<FunctionSignature> &functions() const { return signatures; } ///< in the module's order
  Result<size_t> find(const std::string &name) const;                            ///< E0620

  /// Calls functions()[index]. Arguments are only read, and may lie at any address. E0621, E0622, E0623, E0624, E0601.
  Result<std::unique_ptr<CallResults>> call(size_t index, const std::vector<Array> &arguments) const;

private:
  explicit FunctionLibrary(ArtifactFile file) : file(std::move(file)) {}
  Status checkArguments(const FunctionSignature &function, const std::vector<Array> &arguments) const;
  Error failure(const FunctionSignature &function, const stepdown_call &call, const CallRoom &room) const;
  ArtifactFile file;
  std::vector<FunctionSignature> signatures;
  std::shared_ptr<CallRooms> rooms;
  ChosenCode chosen;
  uint64_t codeAddress = 0;
  std::vector<uint64_t> entries; ///< of each function, as what runs it calls it
  std::vector<uint64_t> kernels; ///< that functions launch on the device, by number
};

} // namespace stepdown
