// NumPy's .npy files, format versions 1 to 3, little-endian.
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once
#include "lib/Base/MappedFile.h"
#include "lib/Base/Result.h"
#include <cstdio>
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

/// Writes an array row by row into a temporary name beside `path`, and gives it its name when it is whole.
class NpyWriter {
public:
  /// `type` as in NpyArray; E0903.
  static Result<NpyWriter> create(const std::string &path, const std::string &type, const std::vector<uint64_t> &shape);
  NpyWriter(NpyWriter &&other) noexcept;
  NpyWriter &operator=(NpyWriter &&) = delete;
  /// Takes the temporary file away if finish was not reached.
  ~NpyWriter();
  Status write(const void *bytes, size_t size); ///< E0903
  Status finish();                              ///< E0903

private:
  NpyWriter(std::string path, std::string temporary, std::FILE *file)
      : path(std::move(path)), temporary(std::move(temporary)), file(file) {}
  Error failed();
  std::string path, temporary;
  std::FILE *file;
};

} // namespace stepdown
