// Uploads that come to a GPU while it computes: through memory of their own, by a stream of their own.
//
// What launches read may not change before they are done, so an upload in front of the next ones would wait for those
// before it. Here it waits in a slot: the host's bytes are copied to the queue's, a second stream brings these into the
// slot's memory under the work of the first, an event tells the first stream when they are there, and it copies them to
// their place between the launches before and those behind, which the GPU does by itself.
//
// Slots go round. Whoever asks for one makes sure that the upload that had it is done.
#pragma once
#include "runtime/Device.h"
#include "runtime/driver/Context.h"
#include <vector>

namespace stepdown::driver {

class StagedUploads {
public:
  static constexpr size_t kSlots = Queue::kStagedUploads;

  explicit StagedUploads(const Context &context) : context(context) {}
  /// Waits for the second stream. Nothing that the first one was asked for may be under way.
  ~StagedUploads();

  /// From here on uploads go through `memory`, which outlives this. E1015.
  Status open(const Memory &memory);
  bool isOpen() const { return stream != nullptr; }
  /// Bytes that an upload may have.
  size_t most() const { return slotBytes; }
  /// How many uploads there were, which are numbered from 1 on.
  uint64_t count() const { return uploads; }
  /// The upload that must be done before the next one: it has its slot. 0: none.
  uint64_t before() const { return uploads < kSlots ? 0 : uploads + 1 - kSlots; }

  /// In order behind what `first` was asked for; `from` is the caller's again. `ahead`: under that, by the second
  /// stream. E1015, E1014.
  Status upload(uint64_t to, const void *from, size_t bytes, void *first, bool ahead);
  /// Waits for uploads that the first stream does not wait for, since upload() failed on the way. E1015, E1014.
  Status settle();

private:
  const Context &context;
  void *stream = nullptr; ///< the second
  uint64_t address = 0;   ///< of the slots
  size_t slotBytes = 0;
  std::vector<uint8_t> bytes; ///< [slots][slotBytes], until they have been copied
  void *arrived[kSlots] = {}; ///< events of the second stream
  uint64_t uploads = 0;
  bool adrift = false; ///< the second stream may have work that the first one does not wait for
};

} // namespace stepdown::driver
