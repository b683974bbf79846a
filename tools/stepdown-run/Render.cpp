#include "lib/Text/ChatPrompt.h"
#include "tools/stepdown-run/Commands.h"
#include "tools/stepdown-run/Console.h"
#include "tools/stepdown-run/ModelSource.h"

namespace stepdown::run {
namespace {

struct Source {
  std::optional<ChatTemplate> chatTemplate;
  std::string bos = "<s>", eos = "</s>"; ///< where no model says otherwise
};

Result<Source> sourceOf(const Arguments &arguments) {
  Source source;
  if (auto path = arguments.text("template")) {
    if (auto none = arguments.positionals(0); !none)
      return fail(ErrorCode::Usage, "render: expects MODEL or --template FILE, but got both");
    auto text = readText(*path);
    if (!text)
      return text.error();
    auto parsed = ChatTemplate::parse(*text, *path);
    if (!parsed)
      return parsed.error();
    source.chatTemplate = std::move(*parsed);
    return source;
  }
  auto words = arguments.positionals(1);
  if (!words)
    return words.error();
  auto model = MetadataSource::open((*words)[0]);
  if (!model)
    return model.error();
  auto parsed = chatTemplateOf(model->metadata());
  if (!parsed)
    return parsed.error();
  source.chatTemplate = std::move(*parsed);
  auto tokenizer = Tokenizer::create(model->metadata());
  if (!tokenizer)
    return tokenizer.error();
  source.bos = tokenizer->bos() >= 0 ? tokenizer->piece(tokenizer->bos()) : "";
  source.eos = tokenizer->eos() >= 0 ? tokenizer->piece(tokenizer->eos()) : "";
  return source;
}

Status runRender(const Arguments &arguments) {
  auto messages = arguments.text("messages");
  if (!messages)
    return fail(ErrorCode::Usage, "render: expects --messages FILE.json; see stepdown-run render --help");
  RenderOptions options;
  if (auto now = arguments.text("now"))
    if (Status ok = setNow(options, *now); !ok)
      return ok;
  auto source = sourceOf(arguments);
  if (!source)
    return source.error();
  auto text = readText(*messages);
  if (!text)
    return text.error();
  auto context = ChatContext::fromJson(*text, *messages);
  if (!context)
    return context.error();
  context->setDefault("bos_token", source->bos);
  context->setDefault("eos_token", source->eos);
  auto prompt = source->chatTemplate->render(*context, options);
  if (!prompt)
    return prompt.error();
  return print(*prompt);
}

} // namespace

Command renderCommand() {
  return {"render",
          "MODEL|--template FILE",
          "Prints the text that a chat template makes of messages, byte for byte; a checkpoint is not compiled for it.",
          {Option("template", 0, "FILE.jinja", "a template in place of a model's own").file(),
           Option("messages", 0, "FILE.json",
                  "an array of messages, or an object of variables with \"messages\" in it; - for stdin")
               .file(),
           Option("now", 0, "TIME", "the time that strftime_now sees, 2026-11-21T09:30:00").otherwiseIt("now")},
          "stepdown-run render smollm2.gguf --messages chat.json",
          runRender};
}

} // namespace stepdown::run
