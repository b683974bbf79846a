// Where the elements of a tile lie: in registers of lanes, in shared memory, in global memory. One type for all of it.
//
// The idea. Hardware scatters a tile by cutting an index into digits and giving every digit a place. Lane 13 of an
// accumulator is 13 = 1 + 4 * 3: its low digit, of size 4, counts column pairs, its high digit, of size 8, counts rows.
// So a layout is a function from named inputs (register, lane, warp, block, or a byte offset) to named outputs (row,
// column, or an offset), and for every input a list of digits, the fastest first, each with its size and with what one
// of it adds to every output. Strides in the manner of CuTe are such digits; sizes need not be powers of two, so tiles
// 176 or 80 wide are there, and rows of any pitch in global memory.
//
// Swizzles do not add, they exclusive-or: row 1 of a tile in the 128-byte swizzle begins at 128, but its 16-byte chunk
// c lies at chunk c ^ 1. Such digits are bits (size 2), each with the bits that it flips: the columns of a matrix over
// GF(2), as in Triton's LinearLayout. A value is
//
//     outputs = (XOR over the xor bits that are set of their steps) + (sum over the other digits of digit * step)
//
// and neither half alone would do: a bit matrix knows no 176, strides know no swizzle.
//
// A bit is an xor bit only where it must be: one whose step shares no bit with those of the other xor bits adds as
// well, and neighbours that continue each other are one digit (2:1 and 11:2 are 22:1). What is left is a normal form:
// equal functions print alike, and == compares text, so to say. From it follow composition (cut the digits of one
// layout where those of the other end), inversion (order the digits by what they step, as mixed radix; solve the xor
// bits by Gauss), bank conflicts and the cost of going from one layout to another.
//
// In text, and this is what str() prints and parse() takes, the accumulator of a wgmma of 64 x 176:
//
//     register[2:column 2:8*row 22:8*column] lane[4:2*column 8:row] warp[4:16*row] -> row[64] column[176]
//
// `size:step`; `2^step` is an xor bit; `4:0` is an input that changes nothing (a broadcast); a step of several outputs
// is `2:row+8*column`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stepdown {

/// One digit of an input.
struct LayoutDigit {
  int64_t size = 2;
  std::vector<int64_t> step; ///< [outputs]: what one of it adds to each, or, of an xor bit, which bits it flips
  bool flips = false;        ///< an xor bit; its size is 2
  bool operator==(const LayoutDigit &other) const {
    return size == other.size && step == other.step && flips == other.flips;
  }
};

struct LayoutInput {
  std::string name;
  std::vector<LayoutDigit> digits; ///< the fastest first; none: the input is 0 alone
  /// How many values it takes: the product of its digits' sizes.
  int64_t size() const;
  bool operator==(const LayoutInput &other) const { return name == other.name && digits == other.digits; }
};

struct LayoutOutput {
  std::string name;
  int64_t size = 1; ///< its values are below this
  bool operator==(const LayoutOutput &other) const { return name == other.name && size == other.size; }
};

/// A function from inputs to outputs, in normal form; see above. Operations that may have no answer in this form return
/// nothing then.
class LinearLayout {
public:
  LinearLayout() = default;
  /// Steps must be non-negative and one for each output, flips of size 2; no value may reach an output's size:
  /// problem() says whether that holds.
  LinearLayout(std::vector<LayoutInput> inputs, std::vector<LayoutOutput> outputs);

  /// Reads what str() prints; `why` (if given) tells what is wrong, with its place in the text.
  static std::optional<LinearLayout> parse(std::string_view text, std::string *why = nullptr);
  /// As parse, of text that is known to be right: a table's.
  static LinearLayout of(const std::string &text);
  /// One input that is one output.
  static LinearLayout identity(const std::string &input, int64_t size, const std::string &output);

  std::string str() const;
  /// What is wrong with the layout as it was made, empty if nothing: "expects column below 176, but it reaches 183".
  const std::string &problem() const { return wrong; }

  const std::vector<LayoutInput> &inputs() const { return in; }
  const std::vector<LayoutOutput> &outputs() const { return out; }
  /// The values of an input, 1 of one that it lacks; of an output likewise.
  int64_t inputSize(std::string_view name) const;
  int64_t outputSize(std::string_view name) const;
  /// The product of the sizes of all inputs, or outputs.
  int64_t points() const;
  int64_t outputPoints() const;

  /// The outputs, in their order, at inputs in theirs, each below its size.
  std::vector<int64_t> apply(const std::vector<int64_t> &at) const;
  /// The same without allocating: `at` [inputs], `to` [outputs].
  void apply(const int64_t *at, int64_t *to) const;

  bool operator==(const LinearLayout &other) const { return in == other.in && out == other.out; }
  bool operator!=(const LinearLayout &other) const { return !(*this == other); }

  /// The layout with all inputs but these at 0; with these outputs alone; with another name for an input or output.
  LinearLayout restrictedTo(const std::vector<std::string> &inputs) const;
  LinearLayout onto(const std::vector<std::string> &outputs) const;
  LinearLayout renamed(const std::string &from, const std::string &to) const;
  /// One more digit at the slow end of an input (made where it lacks), `step` of `output`, whose size grows to hold it.
  LinearLayout repeated(const std::string &input, int64_t count, const std::string &output, int64_t step) const;

private:
  std::vector<LayoutInput> in;
  std::vector<LayoutOutput> out;
  std::string wrong;
  void normalise();
  void check();
};

/// x -> outer(inner(x)): inner's outputs are outer's inputs, by name, and no larger; what outer has beside is 0. None
/// where the result is no layout: a digit of inner that straddles one of outer, or a carry where outer flips.
std::optional<LinearLayout> compose(const LinearLayout &outer, const LinearLayout &inner);

/// A tile of tiles: inputs and outputs of `slow` count whole `fast`s. f(x) = fast(x mod its sizes) + its output sizes *
/// slow(x div its sizes). None where slow flips bits of an output whose size in fast is no power of two.
std::optional<LinearLayout> product(const LinearLayout &fast, const LinearLayout &slow);

/// The layout with leftInverse(f)(f(x)) = x for every x; points that f does not reach map anywhere. None where f maps
/// two to one, or where its digits do not nest.
std::optional<LinearLayout> leftInverse(const LinearLayout &layout);

/// The layout with f(rightInverse(f)(y)) = y for every y: one x of those that f maps to y (what broadcasts is 0). None
/// where f does not reach every y, or where its digits do not nest.
std::optional<LinearLayout> rightInverse(const LinearLayout &layout);

} // namespace stepdown
