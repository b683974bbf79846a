// What a person typed before, in a file: one line each, oldest first, for its owner alone. Several programs may add to
// it at once.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace stepdown::run {

class LineHistory {
public:
  /// Lines that are recalled, and bytes that one may have to be kept.
  static constexpr size_t mostLines = 1000, mostBytes = 16384;

  /// The file stepdown/history in $XDG_STATE_HOME, else in ~/.local/state. Where it cannot be had, nothing is kept.
  static LineHistory ofUser();
  explicit LineHistory(std::string path) : path(std::move(path)) {}

  /// The last lines that were kept. A file that has grown to twice their number is cut to them.
  std::vector<std::string> load() const;
  /// Keeps a line, unless it is too long, or begins with a blank, as shells have it for what nobody else should read.
  void add(std::string_view line) const;

private:
  std::string path;
};

} // namespace stepdown::run
