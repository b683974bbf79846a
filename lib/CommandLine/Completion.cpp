// Completion of bash and zsh, from the option table: commands, options, and values that come from lists. Everything
// else is completed as file names, by bash's own default and zsh's _files.
#include "lib/CommandLine/CommandLine.h"
#include <cctype>

namespace stepdown::commandline {
namespace {

std::string words(const std::vector<std::string> &names) {
  std::string text;
  for (const std::string &name : names)
    text += (text.empty() ? "" : " ") + name;
  return text;
}

/// "--max-tokens", and "-n" where there is a letter.
std::vector<std::string> flagsOf(const Option &option) {
  std::vector<std::string> flags = {std::string("--") + option.name};
  if (option.letter)
    flags.push_back(std::string("-") + option.letter);
  return flags;
}

std::string functionName(const Tool &tool) {
  std::string name = "_";
  for (const char *c = tool.name; *c; ++c)
    name += std::isalnum(static_cast<unsigned char>(*c)) ? *c : '_';
  return name;
}

bool isSingle(const Tool &tool) { return !*tool.commands.front().name; }

std::string bashScript(const Tool &tool) {
  std::string commands, options, values;
  for (const Command &command : tool.commands) {
    const std::string name = command.name;
    commands += (commands.empty() ? "" : " ") + name;
    std::vector<std::string> flags = {"--help"};
    for (const Option &option : command.options) {
      if (option.isHeading())
        continue;
      std::string cases;
      for (const std::string &flag : flagsOf(option)) {
        flags.push_back(flag);
        cases += (cases.empty() ? "" : " | ") + ("\"" + name + " " + flag + "\"");
      }
      if (option.argument) // nothing but file names follows where there are no names; a value after = alone is the rest
        values += "  " + cases + ") takes=" + (option.bare.empty() ? "next" : "same") + " names=\"" +
                  words(option.names) + "\" list=" + (option.list ? "1" : "") + " ;;\n";
    }
    options += "  \"" + name + "\") options=\"" + words(flags) + "\" ;;\n";
  }
  const std::string function = functionName(tool), typed = tool.name;
  std::string text = "# bash completion of " + typed + ", written from its option table.\n" + function +
                     "() {\n"
                     "  local current=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD before= colon= same= command= \n"
                     "  local names= list= options= takes= prefix= i\n"
                     "  COMPREPLY=()\n";
  if (!isSingle(tool))
    text += "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
            "    case ${COMP_WORDS[i]} in -*) ;; *) command=${COMP_WORDS[i]}; break ;; esac\n"
            "  done\n";
  // bash takes --name=value and kind:chip apart into three words each, unless COMP_WORDBREAKS was told not to, and
  // replaces the last of them alone.
  text += "  if [ \"$current\" = : ]; then\n"
          "    at=$((at - 1)) colon=${COMP_WORDS[at]}: current=$colon\n"
          "  elif ((at > 2)) && [ \"${COMP_WORDS[at-1]}\" = : ]; then\n"
          "    at=$((at - 2)) colon=${COMP_WORDS[at]}: current=$colon$current\n"
          "  fi\n"
          "  before=${COMP_WORDS[at-1]}\n"
          "  if [ \"$current\" = = ]; then\n"
          "    current= same=1\n"
          "  elif [ \"$before\" = = ]; then\n"
          "    before=${COMP_WORDS[at-2]} same=1\n"
          "  elif [[ $current == --*=* ]]; then\n"
          "    before=${current%%=*} prefix=$before= current=${current#*=} same=1\n"
          "  fi\n"
          "  case \"$command $before\" in\n" +
          values +
          "  esac\n"
          "  if [ \"$takes\" = next ] || [ -n \"$takes\" -a -n \"$same\" ]; then\n"
          "    if [ -n \"$list\" ] && [[ $current == *,* ]]; then\n"
          "      prefix=$prefix${current%,*}, current=${current##*,}\n"
          "    fi\n"
          "    [ -z \"$names\" ] || COMPREPLY=($(compgen -P \"$prefix\" -W \"$names\" -- \"$current\"))\n"
          "    COMPREPLY=(\"${COMPREPLY[@]#\"$colon\"}\")\n"
          "    return\n"
          "  fi\n";
  if (!isSingle(tool))
    text += "  if [ -z \"$command\" ]; then\n"
            "    COMPREPLY=($(compgen -W \"" +
            commands +
            " --help --version\" -- \"$current\"))\n"
            "    return\n"
            "  fi\n";
  return text + "  case \"$command\" in\n" + options +
         "  esac\n"
         "  [[ $current != -* ]] || COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F " +
         function + " " + typed + "\n";
}

/// Inside single quotes, and a part of an _arguments specification, in which colons and brackets mean something.
std::string quoted(const std::string &text) {
  std::string out;
  for (char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == ':' || c == '[' || c == ']' || c == '\\')
      out += std::string("\\") + c;
    else
      out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string zshOption(const Option &option) {
  const std::string meaning = "[" + quoted(option.meaning) + "]";
  std::string value;
  if (option.argument) {
    value = std::string(option.bare.empty() ? ":" : "::") + quoted(option.argument) + ":";
    if (!option.names.empty())
      value += (option.list ? "_sequence compadd - " : "(") + quoted(words(option.names)) + (option.list ? "" : ")");
    else
      value += option.kind == ValueKind::File ? "_files" : option.kind == ValueKind::Folder ? "_files -/" : " ";
  }
  std::vector<std::string> forms = {std::string("--") + option.name +
                                    (!option.argument      ? ""
                                     : option.bare.empty() ? "="
                                                           : "=-")};
  if (option.letter)
    forms.push_back(std::string("-") + option.letter + (option.argument ? "+" : ""));
  std::string spec = option.repeatable ? "'*'" : "'(" + words(flagsOf(option)) + ")'";
  spec += forms.size() == 1 ? forms[0] : "{" + forms[0] + "," + forms[1] + "}";
  return "      " + spec + "'" + meaning + value + "'";
}

std::string zshArguments(const Command &command) {
  std::string text = "    _arguments -s";
  for (const Option &option : command.options)
    if (!option.isHeading())
      text += " \\\n" + zshOption(option);
  return text + " \\\n      '(-h --help)'{-h,--help}'[tell the options]'" +
         " \\\n      '*:" + quoted(command.positionals) + ":_files'\n";
}

std::string zshScript(const Tool &tool) {
  const std::string typed = tool.name, function = functionName(tool);
  std::string text = "#compdef " + typed + "\n# zsh completion of " + typed + ", written from its option table.\n" +
                     function + "() {\n";
  if (isSingle(tool)) {
    text += zshArguments(tool.commands.front());
  } else {
    text += "  local -a commands\n  commands=(\n";
    for (const Command &command : tool.commands)
      text += "    '" + quoted(command.name) + ":" + quoted(command.summary) + "'\n";
    text += "  )\n"
            "  if (( CURRENT == 2 )); then\n"
            "    _describe command commands\n"
            "    return\n"
            "  fi\n"
            "  shift words\n"
            "  (( CURRENT-- ))\n"
            "  case $words[1] in\n";
    for (const Command &command : tool.commands)
      text += "  " + std::string(command.name) + ")\n" + zshArguments(command) + "    ;;\n";
    text += "  esac\n";
  }
  // The file may be sourced, or found by autoload, which runs it when the function is first called.
  return text + "}\nif [ \"$funcstack[1]\" = " + function + " ]; then\n  " + function + " \"$@\"\nelse\n  compdef " +
         function + " " + typed + "\nfi\n";
}

} // namespace

std::string completionScript(const Tool &tool, const std::string &shell) {
  return shell == "zsh" ? zshScript(tool) : bashScript(tool);
}

} // namespace stepdown::commandline
