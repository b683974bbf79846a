// Arrays that are written out on the command line instead of lying in a file: "f32[2]=1,2", "f32=1.5" and
// "random:f32[100,200]".
#pragma once
#include "lib/Base/Result.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stepdown::run {

struct WrittenArray {
  uint32_t element = 0;       ///< enum stepdown_element
  std::vector<int64_t> dims;  ///< [rank], each >= 0
  std::vector<uint8_t> bytes; ///< the elements, row-major, as in Array
};

/// Whether `text` is meant as an array: it begins with "random:", or with a word of letters and digits that "=", or
/// "[",
/// "]" and "=" follow. A file of such a name is said with its folder: "./f32=1.npy".
bool isWrittenArray(const std::string &text);

/// The array that `text` says:
/// - TYPE[SIZES]=VALUES or TYPE=VALUE, where TYPE is f32, f16, bf16, f64, i1, i8, i16, i32, i64 or index, SIZES are
/// whole
///   numbers with commas between, and VALUES as many numbers as the sizes make, row-major. Each is rounded once, to the
///   nearest of the type, ties to even; integers carry no sign, so i8 takes -128 to 255; i1 takes true, false, 1, 0.
/// - random:TYPE[SIZES] or random:TYPE: every element a function of (seed, argument, its place): floats uniform from -1
/// to
///   1, integers uniform from -100 to 100, index from 0 to 100, i1 of either value.
/// E0905 for what is none of these; E0601 for more bytes than the machine has memory.
Result<WrittenArray> parseWrittenArray(const std::string &text, uint64_t seed, uint64_t argument);

} // namespace stepdown::run
