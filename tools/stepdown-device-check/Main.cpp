// stepdown-device-check PLAN: checks kernels of an artifact on a GPU against float64, then times each beside its peer.
//
// PLAN is JSON, which tools/device-check writes: {"artifact", "device", "samples": rows and columns, or tokens, to be
// compared, "rounds": times that each is timed, "flush_bytes", "peers": whether to open those of the machine, "cases"}.
// A line of JSON for each case goes to stdout. Exit status 0: every number is right, 1: one is not, or a case failed,
// 2: wrong usage.
#include "runtime/driver/DriverDevice.h"
#include "runtime/driver/DriverQueue.h"
#include "tools/stepdown-device-check/Cases.h"
#include "tools/stepdown-device-check/Peer.h"
#include "tools/stepdown-device-check/Recording.h"
#include "tools/stepdown-device-check/Timer.h"
#include <cstdio>
#include <cstring>
#include <fstream>

using namespace stepdown;
using namespace stepdown::devicecheck;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr size_t kWorkspaceBytes = size_t(64) << 20;

struct Setup {
  const driver::Driver *driver;
  std::shared_ptr<RecordingDevice> device;
  std::shared_ptr<const FunctionLibrary> library;
  int64_t samples, rounds;
  size_t flushBytes;
  bool peers;
};

/// The launches of tile kernels: what the case is about. Others ask how positions follow each other.
std::vector<RecordedLaunch> tileLaunches(const Recording &recording) {
  std::vector<RecordedLaunch> tiles;
  for (const RecordedLaunch &launch : recording.launches)
    if (launch.kernel.rfind("matmul_", 0) == 0 || launch.kernel.rfind("attention_", 0) == 0)
      tiles.push_back(launch);
  return tiles;
}

Status makeAgain(Queue &queue, const std::vector<RecordedLaunch> &launches) {
  for (const RecordedLaunch &each : launches) {
    Launch launch = each.launch;
    launch.values = each.words.data();
    if (Status made = queue.launch(&launch, 1); !made)
      return made;
  }
  return Done{};
}

/// Whether the kernels write every byte of the result, and the same ones as before: over bytes that are no number.
Result<bool> writesItAgain(const Setup &setup, Queue &queue, void *stream, const std::vector<RecordedLaunch> &launches,
                           uint64_t address, const Array &result) {
  if (int error = setup.driver->fill(address, 0xff, result.bytes(), stream))
    return fail(ErrorCode::DriverRefused, "expects to write over the result, but the driver says %s",
                setup.driver->text(error).c_str());
  std::vector<uint8_t> got(result.bytes());
  Status done = makeAgain(queue, launches);
  if (done)
    done = queue.download(got.data(), address, got.size());
  if (done)
    done = queue.sync();
  if (!done)
    return done.error();
  return !std::memcmp(got.data(), result.data, got.size());
}

/// Ours and the peer's, in turns.
Status time(const Setup &setup, const Case &each, Queue &queue, void *stream,
            const std::vector<RecordedLaunch> &launches, ordered_json &line) {
  Result<Memory> flush = setup.device->allocate(setup.flushBytes, "flushed bytes");
  if (!flush)
    return flush.error();
  Allocation flushed(*setup.device, *flush), workspace, other;
  Timer timer(*setup.driver, stream, flushed->address, setup.flushBytes);
  const auto ours = [&] { return bool(makeAgain(queue, launches)); };
  std::unique_ptr<Peer> peer;
  std::string said = "no peer in this program";
  const std::vector<uint64_t> &words = launches.front().words;
  if (!setup.peers)
    said = "peers are left out";
  else if (each.isProduct() && words.size() >= 6 && words[1] == uint64_t(each.m) && words[4] == uint64_t(each.k)) {
    Result<Memory> room = setup.device->allocate(kWorkspaceBytes, "workspace of the peer");
    Result<Memory> out =
        setup.device->allocate(size_t(each.m * each.n) * (each.result == "f32" ? 4 : 2), "result of the peer");
    if (!room || !out)
      return (room ? out : room).error();
    workspace = Allocation(*setup.device, *room), other = Allocation(*setup.device, *out);
    peer = makeProductPeer(
        each, words[0], words[3], other->address, workspace->address, kWorkspaceBytes, stream,
        [&](const std::function<bool()> &once) { return timer.once(once); }, said);
  }
  std::vector<double> times, peerTimes;
  for (int warm = 0; warm < 2; ++warm)
    if (timer.once(ours) < 0 || (peer && timer.once([&] { return peer->run(stream); }) < 0))
      return fail(ErrorCode::LaunchFailed, "%s: expects to be timed, but a launch failed", each.function.c_str());
  for (int64_t round = 0; round < setup.rounds; ++round) {
    times.push_back(timer.once(ours));
    if (peer)
      peerTimes.push_back(timer.once([&] { return peer->run(stream); }));
  }
  const double took = median(times);
  line["microseconds"] = took;
  line["tflops"] = each.operations() / took * 1e-6;
  line["gigabytes_a_second"] = each.bytes() / took * 1e-3;
  line["peer"] = peer ? peer->name() : "not measured: " + said;
  if (peer) {
    line["peer_microseconds"] = median(peerTimes);
    line["ratio"] = median(peerTimes) / took;
  }
  return Done{};
}

Status check(const Setup &setup, const Case &each, ordered_json &line, bool &right) {
  const Inputs inputs = drawInputs(each);
  Recording &recording = setup.device->recording;
  recording = {};
  Result<size_t> function = setup.library->find(each.function);
  if (!function)
    return function.error();
  auto results = setup.library->call(*function, inputs.arrays);
  if (!results)
    return results.error();
  const Array &result = (*results)->arrays().front();
  const std::vector<RecordedLaunch> launches = tileLaunches(recording);
  if (launches.empty())
    return fail(ErrorCode::LaunchUnsupported, "%s: expects a tile kernel, but it launches none", each.function.c_str());
  line["kernel"] = launches.front().kernel;
  line["launches"] = launches.size();
  const Difference difference = compare(each, inputs, result, setup.samples);
  line["compared"] = difference.compared;
  line["relative_error"] = difference.relative;
  line["worst_of_bound"] = difference.worst;
  line["not_finite"] = difference.notFinite;
  uint64_t address = 0;
  for (const RecordedDownload &download : recording.downloads)
    if (download.bytes == result.bytes())
      address = download.from;
  auto *queue = dynamic_cast<driver::DriverQueue *>(recording.queue);
  if (!address || !queue)
    return fail(ErrorCode::LaunchUnsupported, "%s: expects a result from a queue of a driver", each.function.c_str());
  Result<bool> again = writesItAgain(setup, *queue, queue->handle(), launches, address, result);
  if (!again)
    return again.error();
  line["same_when_repeated"] = *again;
  right = difference.worst <= 1 && difference.notFinite == 0 && *again;
  line["right"] = right;
  return time(setup, each, *queue, queue->handle(), launches, line);
}

Result<Setup> prepare(const json &plan) {
  static std::string name; // devices keep the caller's
  std::string artifact;
  Setup setup{};
  try {
    name = plan.at("device");
    artifact = plan.at("artifact");
    setup.samples = plan.at("samples");
    setup.rounds = plan.at("rounds");
    setup.flushBytes = plan.at("flush_bytes");
    setup.peers = plan.at("peers");
  } catch (const json::exception &problem) {
    return fail(ErrorCode::JsonSyntax, "plan: %s", problem.what());
  }
  const driver::Vendor &vendor = name.rfind(driver::kAmd.prefix, 0) == 0 ? driver::kAmd : driver::kNvidia;
  Result<std::shared_ptr<Device>> opened = openDriverDevice(vendor, name.c_str());
  if (!opened)
    return opened.error();
  setup.driver = *driver::openDriver(vendor, name.c_str());
  setup.device = std::make_shared<RecordingDevice>(*opened);
  auto library = FunctionLibrary::load(artifact, setup.device);
  if (!library)
    return library.error();
  setup.library = *library;
  return setup;
}

int report(const Error &error) {
  std::fprintf(stderr, "stepdown-device-check: %s\n", error.text().c_str());
  return 1;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: stepdown-device-check PLAN\n");
    return 2;
  }
  std::ifstream file(argv[1]);
  const json plan = json::parse(file, nullptr, false);
  if (plan.is_discarded() || !plan.is_object() || !plan.contains("cases") || !plan["cases"].is_array())
    return report(fail(ErrorCode::JsonSyntax, "%s: expects a plan as JSON", argv[1]));
  Result<Setup> setup = prepare(plan);
  if (!setup)
    return report(setup.error());
  bool all = true;
  for (const json &one : plan["cases"]) {
    Result<Case> each = caseOf(one);
    if (!each)
      return report(each.error());
    ordered_json line = one;
    bool right = false;
    if (Status done = check(*setup, *each, line, right); !done)
      line["error"] = done.error().text();
    all &= right && !line.contains("error");
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
  }
  return all ? 0 : 1;
}
