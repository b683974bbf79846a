// What /set of a chat changes: options of the command's own table, for the answers that follow.
#pragma once
#include "tools/stepdown-run/Request.h"
#include <string>
#include <vector>

namespace stepdown::run {

class ChatSettings {
public:
  /// Those of the command line; E0905.
  static Result<ChatSettings> of(const Arguments &arguments);

  const Request &request() const { return current; }
  /// "temperature 0.5", or "ignore-eos" of a flag; E0905 naming the option as the command line would, and for one that
  /// answers do not have, such as --threads. On an error nothing changes.
  Status set(const std::string &words);
  /// Lines "temperature 0.7", of every option that can be set.
  std::string text() const;
  /// Files that any of them named, now or before.
  const std::vector<std::string> &inputs() const { return files; }
  /// Names of the options that can be set.
  std::vector<std::string> names() const;

private:
  Status read(const Arguments &arguments);
  const commandline::Tool *tool = nullptr;
  const commandline::Command *command = nullptr;
  std::vector<std::string> words;                          ///< of the command line, and what was set since
  std::vector<std::pair<std::string, std::string>> values; ///< of names(), as they would be typed
  std::vector<std::string> files;                          ///< see inputs()
  Request current;
};

} // namespace stepdown::run
