#include "tools/stepdown-run/ChatSettings.h"

#include "lib/Base/Suggestion.h"
#include "tools/stepdown-run/ModelSource.h"
#include <algorithm>

namespace stepdown::run {
namespace {

/// Options of the session and of the start, which no answer can change.
bool isFixed(const Option &option) {
  static const std::vector<std::string> fixed = {"system", "context", "threads", "speculate",
                                                 "device", "isa",     "exact",   "verbose"};
  return option.isHeading() || std::find(fixed.begin(), fixed.end(), option.name) != fixed.end();
}

} // namespace

Result<ChatSettings> ChatSettings::of(const Arguments &arguments) {
  ChatSettings settings;
  settings.tool = &arguments.tool();
  settings.command = &arguments.command();
  for (const Option &option : arguments.command().options)
    if (!isFixed(option))
      for (const std::string &value : arguments.all(option.name))
        settings.words.push_back("--" + std::string(option.name) + (option.argument ? "=" + value : ""));
  if (Status ok = settings.read(arguments); !ok)
    return ok.error();
  return settings;
}

Status ChatSettings::read(const Arguments &arguments) {
  Request request;
  if (Status ok = readRequest(arguments, request); !ok)
    return ok;
  request.maxTokens = arguments.integer("max-tokens", INT32_MAX);
  request.stops = arguments.all("stop");
  values.clear();
  for (const Option &option : command->options) {
    if (isFixed(option))
      continue;
    std::string value = arguments.value(option.name);
    if (option.repeatable) {
      value.clear();
      for (const std::string &each : arguments.all(option.name))
        value += (value.empty() ? "" : ", ") + each;
    }
    values.emplace_back(option.name, value.empty() ? option.otherwise : value);
  }
  for (std::string &file : inputsOf(arguments))
    if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end())
      files.push_back(std::move(file));
  current = std::move(request);
  return Done{};
}

Status ChatSettings::set(const std::string &typed) {
  const size_t blank = typed.find(' '), begin = typed.find_first_not_of(' ', blank);
  std::string name = typed.substr(0, blank), value = begin == typed.npos ? "" : typed.substr(begin);
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  const Option *found = nullptr;
  for (const Option &option : command->options)
    if (!option.isHeading() && name == option.name)
      found = &option;
  if (!found || isFixed(*found))
    return fail(ErrorCode::Usage, "/set: expects an option of the answers%s, but got \"%s\"%s",
                found ? ", which can change while the model is loaded" : "", name.c_str(),
                found ? "" : suggestion(name, names()).c_str());
  if (found->argument && value.empty())
    return fail(ErrorCode::Usage, "/set: expects %s after %s, but nothing follows", found->argument, found->name);
  std::vector<std::string> changed = words;
  changed.push_back("--" + name + (found->argument ? "=" + value : ""));
  std::vector<const char *> pointers;
  for (const std::string &word : changed)
    pointers.push_back(word.c_str());
  auto arguments = Arguments::parse(*tool, *command, static_cast<int>(pointers.size()), pointers.data());
  if (!arguments)
    return arguments.error();
  if (Status ok = read(*arguments); !ok)
    return ok;
  words = std::move(changed);
  return Done{};
}

std::string ChatSettings::text() const {
  size_t width = 0;
  for (const auto &[name, value] : values)
    width = std::max(width, name.size());
  std::string out;
  for (const auto &[name, value] : values)
    out += name + std::string(width - name.size() + 2, ' ') + value + "\n";
  return out;
}

std::vector<std::string> ChatSettings::names() const {
  std::vector<std::string> out;
  for (const auto &[name, value] : values)
    out.push_back(name);
  return out;
}

} // namespace stepdown::run
