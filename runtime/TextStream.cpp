#include "runtime/TextStream.h"

#include <algorithm>

namespace stepdown {

std::string TextStream::push(int32_t id) {
  if (done)
    return {};
  held += decoder.push(id);
  return release();
}

std::string TextStream::finish() {
  if (done)
    return {};
  held += decoder.flush();
  std::string text = release();
  if (!done)
    text += held;
  held.clear();
  return text;
}

std::string TextStream::release() {
  size_t end = std::string::npos;
  for (const std::string &stop : stops)
    if (!stop.empty())
      end = std::min(end, held.find(stop));
  if (end != std::string::npos) {
    done = true;
    std::string text = held.substr(0, end);
    held.clear();
    return text;
  }
  // The longest end of the text that begins some stop string stays.
  size_t keep = 0;
  for (const std::string &stop : stops)
    for (size_t n = std::min(stop.size(), held.size() + 1); n-- > keep;)
      if (n && held.compare(held.size() - n, n, stop, 0, n) == 0) {
        keep = n;
        break;
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
