#include "lib/Text/TextStream.h"

#include <algorithm>

namespace stepdown {

TextStream::Stop::Stop(std::string text) : text(std::move(text)), shorter(this->text.size()) {
  for (size_t n = 1, matched = 0; n < shorter.size(); ++n) {
    matched = longest(matched, this->text[n]);
    shorter[n] = static_cast<uint32_t>(matched);
  }
}

size_t TextStream::Stop::longest(size_t matched, char next) const {
  while (matched > 0 && text[matched] != next)
    matched = shorter[matched - 1];
  return text[matched] == next ? matched + 1 : 0;
}

TextStream::TextStream(const Tokenizer &tokenizer, std::vector<std::string> texts) : decoder(tokenizer) {
  for (std::string &text : texts)
    if (!text.empty())
      stops.emplace_back(std::move(text));
}

std::string TextStream::push(int32_t id) {
  if (done)
    return {};
  return release(decoder.push(id));
}

std::string TextStream::finish() {
  if (done)
    return {};
  std::string text = release(decoder.flush());
  if (!done)
    text += held;
  held.clear();
  return text;
}

std::string TextStream::release(std::string_view added) {
  size_t before = held.size(), end = std::string::npos, keep = 0;
  held += added;
  for (Stop &stop : stops) {
    for (size_t i = before; i < held.size() && stop.matched < stop.text.size(); ++i)
      if ((stop.matched = stop.longest(stop.matched, held[i])) == stop.text.size())
        end = std::min(end, i + 1 - stop.text.size());
    keep = std::max(keep, stop.matched);
  }
  if (end != std::string::npos) {
    done = true;
    std::string text = held.substr(0, end);
    held.clear();
    return text;
  }
  // Cut between code points: a stop string given in bytes may begin inside one.
  size_t cut = held.size() - keep;
  while (cut > 0 && cut < held.size() && (static_cast<unsigned char>(held[cut]) & 0xc0) == 0x80)
    --cut;
  std::string text = held.substr(0, cut);
  held.erase(0, cut);
  return text;
}

} // namespace stepdown
