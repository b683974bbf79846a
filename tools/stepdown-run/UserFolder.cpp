#include "tools/stepdown-run/UserFolder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace stepdown::run {

Result<std::string> userFolder(const char *what, const char *variable, const char *underHome) {
  const char *base = std::getenv(variable);
  std::string folder;
  if (base && *base == '/')
    folder = base; // the specification ignores relative paths
  else if (const char *home = std::getenv("HOME"); home && *home)
    folder = std::string(home) + underHome;
  else
    return fail(ErrorCode::FileWrite, "%s: expects %s or HOME to name a folder, but neither is set", what, variable);
  folder += "/stepdown";
  for (size_t slash = folder.find('/', 1);; slash = folder.find('/', slash + 1)) {
    std::string part = folder.substr(0, slash);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return fail(ErrorCode::FileWrite, "%s: cannot make %s: %s; name a folder with %s", what, part.c_str(),
                  std::strerror(errno), variable);
    if (slash == std::string::npos)
      break;
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return fail(ErrorCode::FileWrite, "%s: cannot write into %s: %s; name a folder with %s", what, folder.c_str(),
                std::strerror(errno), variable);
  return folder;
}

} // namespace stepdown::run
