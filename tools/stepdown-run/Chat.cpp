#include "lib/Base/PartFile.h"
#include "lib/Base/Suggestion.h"
#include "lib/Text/ChatPrompt.h"
#include "tools/stepdown-run/AdapterOptions.h"
#include "tools/stepdown-run/ChatSettings.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ConstraintOptions.h"
#include "tools/stepdown-run/Conversation.h"
#include "tools/stepdown-run/JsonText.h"
#include "tools/stepdown-run/LineEditor.h"
#include "tools/stepdown-run/ModelSource.h"
#include "tools/stepdown-run/SpeculateOption.h"
#include <nlohmann/json.hpp>
#include <unistd.h>
#include <utility>

namespace stepdown::run {
namespace {

using nlohmann::ordered_json;

constexpr char help[] =
    "/help               this\n"
    "/set OPTION VALUE   change how answers are drawn: /set temperature 0.3; /set alone tells how\n"
    "/regenerate         draw the last answer once more\n"
    "/reset              forget the conversation\n"
    "/save FILE          write it as JSON\n"
    "/load FILE          go on with one that was saved\n"
    "/quit               leave, as Ctrl-D does\n"
    "Ctrl-C stops the answer. Everything else is said to the model. Alt-Enter, or a backslash before Enter, begins a\n"
    "new line; pasted text keeps its lines. Up and Ctrl-R recall what was typed, Tab completes commands.\n"
    "What is typed is kept in $XDG_STATE_HOME/stepdown/history (else ~/.local/state/...), but for lines that begin\n"
    "with a blank and texts of several lines.\n";

constexpr char about[] =
    "What is typed is said to the model, but for the commands /help, /set OPTION VALUE (of those below that change "
    "answers; alone it lists them), /regenerate, /reset, /save FILE, /load FILE and /quit. Enter ends a message; "
    "Alt-Enter, or a backslash before Enter, begins a new line in it, and pasted text keeps its lines. Keys are those "
    "of "
    "shells: arrows, Ctrl-A and Ctrl-E (begin and end of the line), Ctrl-K, Ctrl-U, Ctrl-W and Alt-D (erase to its "
    "end, "
    "to its begin, a word before and behind), Ctrl-Y (what was erased last), Up, Down and Ctrl-R (what was typed "
    "before, "
    "and a search in it), Tab (completes commands), Ctrl-L (a clear screen), Ctrl-Z (stops the program). Ctrl-C stops "
    "the "
    "answer or the line, Ctrl-D leaves. Where input or output is no terminal, each line is a message.";

const std::vector<std::string> commandNames = {"/help", "/set",  "/regenerate", "/reset",
                                               "/save", "/load", "/quit",       "/exit"};

Status save(const std::vector<Conversation::Message> &messages, const std::string &path,
            const std::vector<std::string> &inputs) {
  ordered_json list = ordered_json::array();
  for (const Conversation::Message &message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  std::string text =
      ordered_json{{"messages", list}}.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
  return writeFile(path, text, inputs);
}

Result<std::vector<Conversation::Message>> load(const std::string &path) {
  auto text = readText(path);
  if (!text)
    return text.error();
  Result<ordered_json> object = parseJson<ordered_json>(*text, path);
  if (!object)
    return object.error();
  const ordered_json &list = object->is_object() && object->contains("messages") ? (*object)["messages"] : *object;
  std::vector<Conversation::Message> messages;
  if (!list.is_array())
    return fail(ErrorCode::RequestField, "%s: messages: expects an array", path.c_str());
  for (const ordered_json &item : list) {
    if (!item.is_object() || !item.contains("role") || !item["role"].is_string() || !item.contains("content") ||
        !item["content"].is_string())
      return fail(ErrorCode::RequestField, "%s: message %zu: expects a role and a content, both strings", path.c_str(),
                  messages.size());
    messages.push_back({item["role"].get<std::string>(), item["content"].get<std::string>()});
  }
  return messages;
}

class Chat {
public:
  /// What is saved takes the place of none of `inputs`, nor of a file that /set named.
  Chat(Conversation &conversation, ChatSettings settings, Constraints &constraints,
       std::shared_ptr<const Speculator> speculator, const std::optional<std::string> &system,
       std::vector<std::string> inputs)
      : conversation(conversation), settings(std::move(settings)), constraints(constraints),
        speculator(std::move(speculator)), system(system), inputs(std::move(inputs)) {
    begin();
  }

  Status run() {
    LineEditor editor("> ", [this](const std::string &text) { return completions(text); });
    if (editor.interactive())
      std::fprintf(stderr, "%s\n", "/help tells what can be typed; Ctrl-D leaves.");
    while (auto line = editor.next()) {
      clearInterrupt();
      if (line->find_first_not_of(" \t\n") == std::string::npos)
        continue;
      if ((*line)[0] == '/' && line->find('\n') == std::string::npos) {
        line->erase(line->find_last_not_of(' ') + 1); // what completion puts behind a command
        if (*line == "/quit" || *line == "/exit")
          return Done{};
        command(*line);
        continue;
      }
      Status said = answer(&*line);
      if (!said && !editor.interactive())
        return said;
    }
    if (editor.interactive()) // Ctrl-D ends no line
      std::fputs("\n", stderr);
    return Done{};
  }

private:
  void begin() {
    conversation.reset();
    if (system)
      conversation.setMessages({{"system", *system}});
  }

  /// Commands, and the options of /set.
  std::vector<std::string> completions(const std::string &text) const {
    std::vector<std::string> all = commandNames, found;
    for (const std::string &name : settings.names())
      all.push_back("/set " + name);
    for (const std::string &each : all)
      if (each.compare(0, text.size(), text) == 0 && (text.find(' ') != text.npos || each.find(' ') == each.npos))
        found.push_back(each);
    return found;
  }

  void command(const std::string &line) {
    size_t blank = line.find(' ');
    std::string word = line.substr(0, blank);
    std::string rest = blank == std::string::npos ? "" : line.substr(line.find_first_not_of(' ', blank));
    Status done = Done{};
    if ((word == "/save" || word == "/load") && rest.empty()) {
      std::fprintf(stderr, "%s: expects a FILE\n", word.c_str());
      return;
    }
    if (word == "/reset") {
      begin();
    } else if (word == "/save") {
      std::vector<std::string> kept = inputs;
      kept.insert(kept.end(), settings.inputs().begin(), settings.inputs().end());
      done = save(conversation.messages(), rest, kept);
    } else if (word == "/load") {
      auto messages = load(rest);
      if (messages)
        conversation.setMessages(std::move(*messages));
      else
        done = messages.error();
    } else if (word == "/set") {
      if (!rest.empty())
        done = settings.set(rest);
      std::fputs(rest.empty() ? settings.text().c_str() : done ? (rest + "\n").c_str() : "", stderr);
      if (done)
        return;
    } else if (word == "/regenerate") {
      if (settings.request().sampling.temperature == 0)
        std::fputs("[with temperature 0 the answer is always the same: /set temperature 0.7]\n", stderr);
      (void)static_cast<bool>(answer(nullptr));
      return;
    } else {
      if (word != "/help")
        std::fprintf(stderr, "%s: no such command%s\n", word.c_str(), suggestion(word, commandNames).c_str());
      std::fputs(help, stderr);
      return;
    }
    if (!done)
      std::fprintf(stderr, "stepdown-run: %s\n", done.error().text().c_str());
    else
      std::fprintf(stderr, "%zu messages\n", conversation.messages().size());
  }

  /// Prints the answer to what is said, or to what was said last once more, and tells what it took.
  Status answer(const std::string *said) {
    const size_t leftBefore = conversation.leftOut();
    auto show = [](int32_t, const std::string &text) { return text.empty() || print(text) || true; };
    GenerationOptions how = settings.request();
    how.constraint = constraints.of(settings.request().grammar);
    how.speculator = speculator;
    Status done = said ? conversation.say(*said, how, show) : conversation.regenerate(how, show);
    bool stopped = interrupted();
    clearInterrupt();
    (void)static_cast<bool>(print("\n"));
    if (!done && !(stopped && done.error().code == ErrorCode::Interrupted)) {
      std::fprintf(stderr, "stepdown-run: %s\n", done.error().text().c_str());
      return done;
    }
    const Conversation::Figures &f = conversation.lastTurn();
    size_t computed = f.promptTokens - f.reused;
    const std::string guesses =
        f.guesses.guessed ? ", " + std::to_string(f.guesses.accepted) + " guessed ahead" : std::string();
    std::fprintf(stderr, "[%s%zu tokens, %.1f tokens/s%s; prompt %zu, %zu of them from the cache, %.1f tokens/s]\n",
                 stopped ? "stopped; " : "", f.drawn, f.tokensPerSecond, guesses.c_str(), f.promptTokens, f.reused,
                 f.promptSeconds > 0 ? computed / f.promptSeconds : 0);
    if (f.guessingEnded && !std::exchange(guessingWarned, true)) // each turn tries again
      std::fprintf(stderr, "stepdown-run: warning: guesses ended: %s\n", f.guessingEnded->text().c_str());
    if (conversation.leftOut() > leftBefore)
      std::fprintf(stderr, "[the context of %zu tokens is full: the model no longer knows the first %zu messages]\n",
                   conversation.context(), conversation.leftOut());
    if (f.full)
      std::fprintf(stderr, "[the answer ends here because the context of %zu tokens is full]\n",
                   conversation.context());
    return Done{};
  }

  Conversation &conversation;
  ChatSettings settings;
  Constraints &constraints;
  const std::shared_ptr<const Speculator> speculator; ///< or null
  const std::optional<std::string> system;
  const std::vector<std::string> inputs;
  bool guessingWarned = false;
};

Status runChat(const Arguments &arguments) {
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  auto settings = ChatSettings::of(arguments);
  if (!settings)
    return settings.error();
  const Result<Speculate> speculate = Speculate::of(arguments);
  if (!speculate)
    return speculate.error();
  const auto adapters = adaptersOf(arguments);
  if (!adapters)
    return adapters.error();
  auto opened = TextModel::open(arguments);
  if (!opened)
    return opened.error();
  const TextModel &source = **opened;
  auto chatTemplate = chatTemplateOf(source.model->metadata());
  if (!chatTemplate)
    return chatTemplate.error();
  Session::Options options;
  options.threads = static_cast<int32_t>(arguments.integer("threads"));
  options.kvPositions = arguments.integer("context");
  options.maxSequences = 1;
  auto session = Session::create(source.model, options);
  if (!session)
    return session.error();
  if (Status loaded = loadAdapters(**session, *adapters); !loaded)
    return loaded;
  const Result<int32_t> adapter = (*session)->adapterNamed(usualAdapter(arguments, *adapters));
  if (!adapter)
    return adapter.error();
  auto guesses = guessesFor(*speculate, arguments, source, 1); // outlives the answers
  if (!guesses)
    return guesses.error();
  options.prefixBlocks = UINT32_MAX; // of a draft model, which so reads no turn twice
  if (Status ready = guesses->open(options); !ready)
    return ready;
  catchInterrupts();
  Conversation conversation(**session, source.tokenizer, *chatTemplate, *adapter);
  Constraints constraints(source.tokenizer, static_cast<int32_t>(source.model->head().vocabulary));
  return Chat(conversation, std::move(*settings), constraints, guesses->speculator, arguments.text("system"),
              inputsOf(arguments, speculate->file))
      .run();
}

} // namespace

Command chatCommand() {
  Command command{"chat",
                  "MODEL",
                  "Talks with a model through its own template; each turn computes only what is new.",
                  {{"system", 0, "TEXT", "a system message to begin with"},
                   Option("max-tokens", 'n', "N", "tokens of an answer at most")
                       .whole(1, INT32_MAX)
                       .otherwiseIt("what the context holds"),
                   Option("stop", 0, "TEXT", "end answers before this text").repeats(),
                   Option("context", 0, "N", "positions that the cache holds")
                       .whole(1, INT32_MAX)
                       .otherwiseIt("the model's context"),
                   adapterOption(),
                   withAdapterOption(),
                   threadsOption(),
                   speculateOption(),
                   deviceOption(),
                   isaOption(),
                   exactOption(),
                   verboseOption()},
                  "stepdown-run chat smollm2.gguf",
                  runChat,
                  about};
  SamplingOptions lively;
  lively.temperature = 0.7f;
  lively.topP = 0.95f;
  for (const std::vector<Option> &options : {constraintOptions(), samplingOptions(lively)})
    command.options.insert(command.options.end(), options.begin(), options.end());
  return command;
}

} // namespace stepdown::run
