// What a server did when, for one who looks at it: spans of time in the JSON format of Chrome's traces ("Trace Event
// Format", JSON Array Format), which Perfetto reads (ui.perfetto.dev).
//
// Each request is a process of the trace and has a track for its connection and one for each answer. Spans of a track
// lie within each other or apart. Events go to a file as they come, so that memory does not grow; a file that was cut
// short is still one that Perfetto reads, for the format allows the end of the array to be missing.
#pragma once
#include "lib/Base/Result.h"
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace stepdown {

class Trace {
public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  /// E0903; E0960 where `path` is one of `inputs`. Replaces the file.
  static Result<std::unique_ptr<Trace>> create(const std::string &path, const std::vector<std::string> &inputs = {});
  /// close(), whose error is lost.
  ~Trace();
  Trace(const Trace &) = delete;

  // Any thread. Names are text in UTF-8; `arguments` members of a JSON object, as `"tokens": 7`, or empty. Where the
  // file cannot be written any more, events are counted and dropped.
  void nameProcess(uint64_t process, const std::string &name);
  void nameTrack(uint64_t process, uint32_t track, const std::string &name);
  void span(uint64_t process, uint32_t track, const char *name, Time begin, Time end,
            const std::string &arguments = "");
  /// A span whose end is not known yet, and its end: the latest that is open on the track.
  void begin(uint64_t process, uint32_t track, const char *name, Time at);
  void end(uint64_t process, uint32_t track, Time at, const std::string &arguments = "");
  /// Writes what waits, and the end of the array. E0903 where an event was not written, with how many.
  Status close();

private:
  Trace(std::string path, std::FILE *file);
  void write(const std::string &event);
  std::string stamp(Time at) const;

  const std::string path;
  const Time start = Clock::now();
  std::mutex mutex;
  std::FILE *file; ///< null: closed
  std::vector<char> buffer;
  bool first = true;
  uint64_t dropped = 0;
};

} // namespace stepdown
