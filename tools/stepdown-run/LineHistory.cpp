#include "tools/stepdown-run/LineHistory.h"

#include "lib/Base/PartFile.h"
#include "tools/stepdown-run/UserFolder.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown::run {
namespace {

/// An open history, or -1. What is not a plain file of ours (a link that somebody left, a device) is left alone.
int openOwn(const std::string &path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  struct stat info;
  if (fd >= 0 && (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_uid != geteuid())) {
    ::close(fd);
    return -1;
  }
  return fd;
}

bool writeAll(int fd, std::string_view text) {
  return ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

} // namespace

LineHistory LineHistory::ofUser() {
  auto folder = userFolder("history", "XDG_STATE_HOME", "/.local/state");
  return LineHistory(folder ? *folder + "/history" : "");
}

std::vector<std::string> LineHistory::load() const {
  std::vector<std::string> lines;
  int fd = path.empty() ? -1 : openOwn(path, O_RDONLY);
  if (fd < 0)
    return lines;
  // However large the file is, no more of its end is read than these lines can take.
  constexpr off_t most = off_t(4) << 20;
  off_t size = lseek(fd, 0, SEEK_END), begin = size > most ? size - most : 0;
  std::string text(static_cast<size_t>(size - begin), 0);
  ssize_t got = pread(fd, text.data(), text.size(), begin);
  ::close(fd);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
    if (end > at && !(at == 0 && begin > 0)) // the first line of a part is a part
      lines.push_back(text.substr(at, end - at));
  const bool grown = lines.size() > 2 * mostLines || begin > 0;
  if (lines.size() > mostLines)
    lines.erase(lines.begin(), lines.end() - mostLines);
  if (!grown)
    return lines;
  std::string kept;
  for (const std::string &line : lines)
    kept += line + "\n";
  (void)static_cast<bool>(writeFile(path, kept)); // a plain file, as was seen; a history that stays long is no harm
  return lines;
}

void LineHistory::add(std::string_view line) const {
  if (path.empty() || line.empty() || line.size() > mostBytes || line.front() == ' ' || line.find('\n') != line.npos)
    return;
  int fd = openOwn(path, O_WRONLY | O_CREAT | O_APPEND);
  if (fd < 0)
    return;
  (void)writeAll(fd, std::string(line) + "\n"); // one write, so that lines of two programs do not mix
  ::close(fd);
}

} // namespace stepdown::run
