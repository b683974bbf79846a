// NumPy's .npy files, format versions 1 to 3, little-endian.
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once
#include "lib/Base/MappedFile.h"
#include "lib/Base/PartFile.h"
#include "lib/Base/Result.h"
#include <string>
#include <vector>

namespace stepdown {

/// One array of a .npy file; `data` lies in the mapped file.
struct NpyArray {
  std::string type; ///< "<f4", "|i1", ... as in the header's descr
  size_t elementBytes = 0;
  bool fortranOrder = false; ///< the first dimension is the contiguous one
  std::vector<uint64_t> shape;
  const uint8_t *data = nullptr;
  size_t bytes = 0;
};

/// Reads `size` bytes at `bytes`; E0904 for what is malformed, big-endian or of an object type.
Result<NpyArray> parseNpy(const std::string &file, const uint8_t *bytes, size_t size);

/// Writes an array row by row, as PartFile does.
class NpyWriter {
public:
  /// `type` as in NpyArray; E0903, E0960 where `path` is one of `inputs`.
  static Result<NpyWriter> create(const std::string &path, const std::string &type, const std::vector<uint64_t> &shape,
                                  const std::vector<std::string> &inputs = {});
  Status write(const void *bytes, size_t size) { return file.append(bytes, size); } ///< E0903
  Status finish() { return file.commit(); }                                         ///< E0903

private:
  explicit NpyWriter(PartFile file) : file(std::move(file)) {}
  PartFile file;
};

} // namespace stepdown
