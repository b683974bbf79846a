#include "runtime/Npy.h"

#include <cstring>
#include <string_view>

namespace stepdown {
namespace {

constexpr char magic[] = "\x93NUMPY";

/// The header is a Python dictionary of three entries: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderReader {
public:
  explicit HeaderReader(std::string_view text) : rest(text) {}
  bool read(NpyArray &array) {
    bool descr = false, order = false, shape = false;
    if (!take('{'))
      return false;
    while (!take('}')) {
      std::string key;
      if (!quoted(key) || !take(':'))
        return false;
      if (key == "descr" && !descr)
        descr = quoted(array.type);
      else if (key == "fortran_order" && !order)
        order = word("False") || (array.fortranOrder = word("True"));
      else if (key == "shape" && !shape)
        shape = tuple(array.shape);
      else
        return false;
      if (!take(',') && !rest.empty() && rest.front() != '}')
        return false;
    }
    return descr && order && shape;
  }

private:
  void skip() {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\n'))
      rest.remove_prefix(1);
  }
  bool take(char c) {
    skip();
    if (rest.empty() || rest.front() != c)
      return false;
    rest.remove_prefix(1);
    skip();
    return true;
  }
  bool word(std::string_view expected) {
    if (rest.substr(0, expected.size()) != expected)
      return false;
    rest.remove_prefix(expected.size());
    return true;
  }
  bool quoted(std::string &out) {
    skip();
    if (rest.empty() || (rest.front() != '\'' && rest.front() != '"'))
      return false;
    size_t end = rest.find(rest.front(), 1);
    if (end == std::string_view::npos)
      return false;
    out = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    return true;
  }
  bool tuple(std::vector<uint64_t> &shape) {
    if (!take('('))
      return false;
    while (!take(')')) {
      uint64_t value = 0;
      size_t digits = 0;
      for (; !rest.empty() && rest.front() >= '0' && rest.front() <= '9' && digits < 18; ++digits) {
        value = value * 10 + static_cast<uint64_t>(rest.front() - '0');
        rest.remove_prefix(1);
      }
      if (!digits || shape.size() == 32)
        return false;
      shape.push_back(value);
      skip();
      if (!take(',') && (rest.empty() || rest.front() != ')'))
        return false;
    }
    return true;
  }
  std::string_view rest;
};

} // namespace

Result<NpyArray> parseNpy(const std::string &file, const uint8_t *bytes, size_t size) {
  auto bad = [&](size_t offset, const char *what) {
    return fail(ErrorCode::NpyFormat, "%s: offset %zu: expects %s", file.c_str(), offset, what);
  };
  if (size < 10 || std::memcmp(bytes, magic, 6))
    return bad(0, "the magic of a .npy file");
  int version = bytes[6];
  if (version < 1 || version > 3)
    return bad(6, "version 1, 2 or 3");
  size_t begin = version == 1 ? 10 : 12;
  if (size < begin)
    return bad(8, "the length of the header");
  uint64_t length = bytes[8] | uint64_t(bytes[9]) << 8;
  if (version > 1)
    length |= uint64_t(bytes[10]) << 16 | uint64_t(bytes[11]) << 24;
  if (length > size - begin)
    return bad(8, "a header that fits into the file");
  NpyArray array;
  HeaderReader reader({reinterpret_cast<const char *>(bytes + begin), length});
  if (!reader.read(array))
    return bad(begin, "a header with descr, fortran_order and shape");
  const std::string &type = array.type;
  bool little = type.size() >= 3 && (type[0] == '<' || type[0] == '|') && std::strchr("fiubV", type[1]);
  array.elementBytes = little && type.size() == 3 ? static_cast<size_t>(type[2] - '0') : 0;
  if (array.elementBytes != 1 && array.elementBytes != 2 && array.elementBytes != 4 && array.elementBytes != 8)
    return bad(begin, "little-endian numbers of 1, 2, 4 or 8 bytes");
  array.data = bytes + begin + length;
  size_t available = size - begin - length;
  uint64_t elements = 1;
  for (uint64_t dim : array.shape)
    if (__builtin_mul_overflow(elements, dim, &elements))
      return bad(begin, "a shape whose product fits 64 bits");
  if (__builtin_mul_overflow(elements, array.elementBytes, &array.bytes) || array.bytes > available)
    return bad(begin + length, "as many bytes of data as the shape says");
  return array;
}

Result<NpyWriter> NpyWriter::create(const std::string &path, const std::string &type,
                                    const std::vector<uint64_t> &shape, const std::vector<std::string> &inputs) {
  Result<PartFile> file = PartFile::create(path, inputs, PartFile::Order::forward);
  if (!file)
    return file.error();
  NpyWriter writer(std::move(*file));
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (";
  for (size_t i = 0; i < shape.size(); ++i)
    header += std::to_string(shape[i]) + (shape.size() == 1 || i + 1 < shape.size() ? ", " : "");
  header += "), }";
  // The data begin at a multiple of 64.
  header.append(63 - (header.size() + 10) % 64, ' ').push_back('\n');
  const std::string start = std::string(magic) + '\x01' + '\0' + static_cast<char>(header.size() & 255) +
                            static_cast<char>(header.size() >> 8);
  if (Status ok = writer.write((start + header).data(), start.size() + header.size()); !ok)
    return ok.error();
  return writer;
}

} // namespace stepdown
