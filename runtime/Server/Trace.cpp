#include "runtime/Server/Trace.h"

#include "lib/Base/PartFile.h"
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace stepdown {
namespace {

constexpr size_t bufferBytes = size_t(1) << 16;

/// Writes what waits, whole events, and returns how many of them could not be written.
uint64_t flush(std::FILE *file, std::vector<char> &waiting) {
  const bool written = std::fwrite(waiting.data(), 1, waiting.size(), file) == waiting.size();
  const auto lines = std::count(waiting.begin(), waiting.end(), '\n');
  waiting.clear();
  return written ? 0 : static_cast<uint64_t>(lines);
}

/// Takes away what a file had; a device has nothing.
void empty(std::FILE *file) { (void)!::ftruncate(::fileno(file), 0); }

/// `text` in JSON's quotes.
std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
    if (static_cast<unsigned char>(c) < 0x20)
      out += code;
    else
      out += (c == '"' || c == '\\' ? std::string("\\") : std::string()) + c;
  }
  return out + "\"";
}

std::string place(uint64_t process, uint32_t track) {
  return "\"pid\": " + std::to_string(process) + ", \"tid\": " + std::to_string(track);
}

} // namespace

Trace::Trace(std::string path, std::FILE *file) : path(std::move(path)), file(file) {
  std::setvbuf(file, nullptr, _IONBF, 0); // so that the file ends behind an event at any time
}

Result<std::unique_ptr<Trace>> Trace::create(const std::string &path, const std::vector<std::string> &inputs) {
  // What the file has stays until the first event: who cannot serve leaves it to the server that writes it.
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  struct stat status = {};
  std::FILE *file = descriptor >= 0 && ::fstat(descriptor, &status) == 0 ? ::fdopen(descriptor, "wb") : nullptr;
  if (!file) {
    const std::string why = std::strerror(errno);
    if (descriptor >= 0)
      ::close(descriptor);
    return fail(ErrorCode::FileWrite, "%s: expects a file that can be written, but: %s", path.c_str(), why.c_str());
  }
  if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) {
    std::fclose(file);
    return fail(ErrorCode::FileWrite, "%s: expects a file, but it is a pipe, whose reader could stop all answers",
                path.c_str());
  }
  if (Status free = expectNoInput(path, status, inputs); !free) {
    std::fclose(file);
    return free.error();
  }
  return std::unique_ptr<Trace>(new Trace(path, file));
}

Trace::~Trace() {
  if (file && first)
    std::fclose(file); // nothing was served
  else
    (void)close();
}

// Microseconds, as the format has it, with nanoseconds behind the point.
std::string Trace::stamp(Time at) const {
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(at - start).count();
  char text[40];
  std::snprintf(text, sizeof text, "%s%lld.%03lld", nanoseconds < 0 ? "-" : "", std::abs((long long)nanoseconds) / 1000,
                std::abs((long long)nanoseconds) % 1000);
  return text;
}

void Trace::write(const std::string &event) {
  std::lock_guard<std::mutex> lock(mutex);
  if (!file)
    return;
  if (dropped) {
    ++dropped;
    return;
  }
  if (first)
    empty(file);
  const std::string line = (first ? "[\n" : ",\n") + event;
  buffer.insert(buffer.end(), line.begin(), line.end());
  if (buffer.size() >= bufferBytes)
    dropped = flush(file, buffer);
  first = false;
}

void Trace::nameProcess(uint64_t process, const std::string &name) {
  write("{\"name\": \"process_name\", \"ph\": \"M\", " + place(process, 0) + ", \"args\": {\"name\": " + quoted(name) +
        "}}");
}

void Trace::nameTrack(uint64_t process, uint32_t track, const std::string &name) {
  write("{\"name\": \"thread_name\", \"ph\": \"M\", " + place(process, track) +
        ", \"args\": {\"name\": " + quoted(name) + "}}");
}

void Trace::span(uint64_t process, uint32_t track, const char *name, Time begin, Time end,
                 const std::string &arguments) {
  // Whole nanoseconds: neighbours meet, and nothing is rounded.
  write("{\"name\": " + quoted(name) + ", \"ph\": \"X\", \"ts\": " + stamp(begin) +
        ", \"dur\": " + stamp(start + (end - begin)) + ", " + place(process, track) +
        (arguments.empty() ? "}" : ", \"args\": {" + arguments + "}}"));
}

void Trace::begin(uint64_t process, uint32_t track, const char *name, Time at) {
  write("{\"name\": " + quoted(name) + ", \"ph\": \"B\", \"ts\": " + stamp(at) + ", " + place(process, track) + "}");
}

void Trace::end(uint64_t process, uint32_t track, Time at, const std::string &arguments) {
  write("{\"ph\": \"E\", \"ts\": " + stamp(at) + ", " + place(process, track) +
        (arguments.empty() ? "}" : ", \"args\": {" + arguments + "}}"));
}

Status Trace::close() {
  std::lock_guard<std::mutex> lock(mutex);
  if (!file)
    return Done{};
  bool written = !dropped;
  if (written) {
    if (first)
      empty(file);
    const std::string end = first ? "[]\n" : "\n]\n";
    buffer.insert(buffer.end(), end.begin(), end.end());
    if (const uint64_t lines = flush(file, buffer)) { // those of the bracket are no events
      written = false;
      dropped = lines - (first ? 1 : 2);
    }
  }
  const bool closed = std::fclose(std::exchange(file, nullptr)) == 0;
  if (written && closed)
    return Done{};
  return fail(ErrorCode::FileWrite, "%s: expects room for the whole trace, but %llu events or more were not written",
              path.c_str(), static_cast<unsigned long long>(dropped));
}

} // namespace stepdown
