// What the server tells Prometheus of each model.
#include "tools/stepdown-run/Serve/Api.h"

namespace stepdown::run {

std::string Api::metricsText() const {
  std::string out =
      metricHead("stepdown_requests_total", "counter", "Replies by path and status; 499: the client left.") +
      counts.text();
  if (connections)
    out += metricHead("stepdown_connections", "gauge", "Open connections.") +
           metricLine("stepdown_connections", "", connections());
  struct Column {
    const char *name, *type, *help;
    uint64_t (*value)(const Engine::Figures &);
  };
  static const Column columns[] = {
      {"stepdown_answers_running", "gauge", "Answers that are being drawn.",
       [](auto &f) { return uint64_t(f.running); }},
      {"stepdown_answers_waiting", "gauge", "Answers that wait for a sequence.",
       [](auto &f) { return uint64_t(f.waiting); }},
      {"stepdown_steps_total", "counter", "Steps of the model.", [](auto &f) { return f.scheduler.steps; }},
      {"stepdown_preemptions_total", "counter", "Answers that gave up their blocks to others, for a while.",
       [](auto &f) { return f.scheduler.preemptions; }},
      {"stepdown_recomputed_tokens_total", "counter", "Tokens that these held.",
       [](auto &f) { return f.scheduler.recomputed; }},
      {"stepdown_prefix_queries_total", "counter", "Prompts that were sought in the prefix cache.",
       [](auto &f) { return f.scheduler.prompts; }},
      {"stepdown_prefix_hits_total", "counter", "Of these, prompts of which a beginning was there.",
       [](auto &f) { return f.scheduler.hits; }},
      {"stepdown_prefix_saved_tokens_total", "counter", "Tokens of prompts that were not computed.",
       [](auto &f) { return f.scheduler.reused; }},
      {"stepdown_spill_hits_total", "counter",
       "Prompts of which a beginning was read back from the file of spilled blocks.",
       [](auto &f) { return f.scheduler.restored; }},
      {"stepdown_prompt_tokens_total", "counter", "Tokens of prompts that were answered.",
       [](auto &f) { return f.promptTokens; }},
      {"stepdown_drawn_tokens_total", "counter", "Tokens of answers that are over.",
       [](auto &f) { return f.drawnTokens; }},
      {"stepdown_guessed_tokens_total", "counter", "Tokens that were computed on suspicion, of answers that are over.",
       [](auto &f) { return f.guessedTokens; }},
      {"stepdown_accepted_tokens_total", "counter", "Of these, tokens that were drawn.",
       [](auto &f) { return f.acceptedTokens; }},
      {"stepdown_cancelled_total", "counter", "Requests that were cancelled.", [](auto &f) { return f.cancelled; }}};
  std::vector<Engine::Figures> figures;
  for (const ServedModel &model : served)
    figures.push_back(model.engine ? model.engine->figures() : Engine::Figures());
  auto label = [&](size_t m) { return metricLabel("model", served[m].id); };
  for (const Column &column : columns) {
    out += metricHead(column.name, column.type, column.help);
    for (size_t m = 0; m < served.size(); ++m)
      out += metricLine(column.name, label(m), column.value(figures[m]));
  }
  struct SpillColumn {
    const char *name, *type, *help;
    uint64_t SpillFile::Figures::*value;
  };
  static const SpillColumn spillColumns[] = {
      {"stepdown_spilled_blocks_total", "counter", "Blocks that were written to the file.",
       &SpillFile::Figures::spilled},
      {"stepdown_spilled_bytes_total", "counter", "Their bytes.", &SpillFile::Figures::spilledBytes},
      {"stepdown_restored_blocks_total", "counter", "Blocks that were read back.", &SpillFile::Figures::restored},
      {"stepdown_restored_bytes_total", "counter", "Their bytes.", &SpillFile::Figures::restoredBytes},
      {"stepdown_spill_dropped_total", "counter",
       "Blocks that came faster than they were written, or while the disk failed, and were forgotten.",
       &SpillFile::Figures::dropped},
      {"stepdown_spill_failures_total", "counter", "Blocks that could not be written, or were damaged.",
       &SpillFile::Figures::failures},
      {"stepdown_spill_file_bytes", "gauge", "Bytes of the file's slots.", &SpillFile::Figures::bytes}};
  for (const SpillColumn &column : spillColumns) {
    std::string lines;
    for (size_t m = 0; m < served.size(); ++m)
      if (figures[m].spilled)
        lines += metricLine(column.name, label(m), (*figures[m].spilled).*column.value);
    if (!lines.empty())
      out += metricHead(column.name, column.type, column.help) + lines;
  }
  out +=
      metricHead("stepdown_guessing_failed_total", "counter", "Answers that went on without guesses after an error.");
  for (size_t m = 0; m < served.size(); ++m)
    out += metricLine("stepdown_guessing_failed_total", label(m), served[m].times.guessingFailed);
  struct Blocks {
    const char *name, *help;
    std::vector<uint32_t> Engine::Figures::*count;
  };
  for (const Blocks &kind :
       {Blocks{"stepdown_kv_blocks", "Blocks of the cache.", &Engine::Figures::blocks},
        {"stepdown_kv_blocks_used", "Blocks of the cache in use.", &Engine::Figures::used},
        {"stepdown_kv_blocks_kept", "Blocks kept for prompts that begin as others did.", &Engine::Figures::kept}}) {
    out += metricHead(kind.name, "gauge", kind.help);
    for (size_t m = 0; m < served.size(); ++m)
      for (size_t g = 0; g < (figures[m].*kind.count).size(); ++g)
        out += metricLine(kind.name, label(m) + "," + metricLabel("group", std::to_string(g)),
                          (figures[m].*kind.count)[g]);
  }
  for (bool first : {true, false}) {
    const char *name = first ? "stepdown_time_to_first_token_seconds" : "stepdown_time_per_output_token_seconds";
    out += metricHead(name, "histogram",
                      first ? "From the request to the first token." : "Between tokens, the mean of an answer.");
    for (size_t m = 0; m < served.size(); ++m)
      out += (first ? served[m].times.firstToken : served[m].times.nextToken).text(name, label(m));
  }
  return out;
}

} // namespace stepdown::run
