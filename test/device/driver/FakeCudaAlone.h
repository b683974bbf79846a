// Functions that CUDA has alone; a part of FakeDriver.cpp, inside of extern "C".
int fake_attribute(int *value, int attribute, int device) {
  ENTER("attribute")
  const std::string chip = fake().gpus()[size_t(device)].second; // "9.0"
  switch (attribute) {
  case driver::kCapabilityMajor:
    *value = std::atoi(chip.c_str());
    return 0;
  case driver::kCapabilityMinor:
    *value = std::atoi(chip.c_str() + chip.find('.') + 1);
    return 0;
  case driver::kOptInShared:
    *value = 232448;
    return 0;
  case driver::kMapsMemory:
    *value = fake().control.mapsMemory;
    return 0;
  }
  return kInvalid;
}
int fake_retainContext(void **context, int device) {
  ENTER("retainContext")
  if (size_t(device) >= fake().gpus().size())
    return kInvalid;
  *context = &fake();
  ++fake().contexts;
  return 0;
}
// With its last user a context ends, with all that it has, and whether it was lost.
int fake_releaseContext(int) {
  std::lock_guard<std::mutex> lock(fake().mutex); // never fails: nobody could do anything about it
  if (--fake().contexts == 0)
    fake().end();
  return 0;
}
int fake_useContext(void *context) {
  ENTER("useContext")
  current = context == &fake();
  return current ? 0 : kNoContext;
}
int fake_setFunctionAttribute(void *function, int attribute, int value) {
  ENTER_GPU("setFunctionAttribute")
  if (attribute != driver::kDynamicShared || value > 232448)
    return kInvalid;
  static_cast<Function *>(function)->dynamicShared = value;
  return 0;
}
int fake_launchClusters(const void *configuration, void *function, void **parameters, void **extra) {
  ENTER_GPU("launchClusters")
  const auto &c = *static_cast<const driver::LaunchConfiguration *>(configuration);
  if (extra || c.attributeCount != 1 || c.attributes->id != 4 || c.attributes->cluster[1] != 1 ||
      c.attributes->cluster[2] != 1)
    return kInvalid;
  return launch(function, {c.grid[0], c.grid[1], c.grid[2]}, {c.block[0], c.block[1], c.block[2]},
                c.attributes->cluster[0], c.sharedBytes, c.stream, parameters);
}
int fake_encodeMap(void *to, int type, uint32_t rank, void *address, const uint64_t *sizes, const uint64_t *strides,
                   const uint32_t *box, const uint32_t *steps, int interleave, int swizzle, int promotion, int fill) {
  ENTER("encodeMap")
  if (reinterpret_cast<uint64_t>(to) % 64 || reinterpret_cast<uint64_t>(address) % 16 || rank < 1 || rank > 5 ||
      interleave || promotion < 0 || promotion > 3 || fill || !mapElementBytes(uint32_t(type)))
    return kInvalid;
  stepdown_tensor_map map = {};
  map.rank = uint8_t(rank);
  map.element_type = uint8_t(type);
  map.element_bytes = uint8_t(mapElementBytes(uint32_t(type)));
  map.swizzle = uint8_t(swizzle);
  map.check = STEPDOWN_EMULATION_MAGIC;
  map.address = reinterpret_cast<uint64_t>(address);
  for (uint32_t i = 0; i < rank; ++i) {
    map.sizes[i] = sizes[i];
    map.box[i] = uint16_t(box[i]);
    map.step[i] = uint8_t(steps[i]);
    if (i && strides[i - 1] % 16)
      return kInvalid;
    if (i)
      map.strides[i - 1] = uint32_t(strides[i - 1] / 16);
  }
  std::memcpy(to, &map, sizeof map);
  return 0;
}
int fake_errorText(int error, const char **text) {
  std::snprintf(message, sizeof message, "fake error %d", error); // not counted: no call of a program depends on it
  *text = message;
  return 0;
}
int fake_granularity(size_t *bytes, const void *, int) {
  ENTER_GPU("granularity")
  *bytes = size_t(1) << 21;
  return 0;
}
int fake_reserveAddresses(uint64_t *address, size_t bytes, size_t, uint64_t, unsigned long long) {
  ENTER_GPU("reserveAddresses")
  void *made = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made == MAP_FAILED || bytes % (size_t(1) << 21))
    return kInvalid;
  *address = reinterpret_cast<uint64_t>(made);
  fake().reservations[*address].bytes = bytes;
  return 0;
}
int fake_freeAddresses(uint64_t address, size_t bytes) {
  ENTER_GPU("freeAddresses")
  auto at = fake().reservations.find(address);
  if (at == fake().reservations.end() || at->second.bytes != bytes || !at->second.pieces.empty())
    return kInvalid;
  munmap(reinterpret_cast<void *>(address), bytes);
  fake().reservations.erase(at);
  return 0;
}
int fake_createMemory(uint64_t *handle, size_t bytes, const void *properties, unsigned long long) {
  ENTER_GPU("createMemory")
  const auto &wanted = *static_cast<const driver::MemoryProperties *>(properties);
  if (bytes % (size_t(1) << 21) || wanted.type != 1 || wanted.place.type != 1)
    return kInvalid;
  if (bytes > fake().control.memory - fake().used)
    return driver::kOutOfMemory;
  *handle = fake().nextHandle++;
  fake().handles[*handle] = bytes;
  fake().used += bytes;
  return 0;
}
int fake_releaseMemory(uint64_t handle) {
  ENTER_GPU("releaseMemory")
  auto at = fake().handles.find(handle);
  if (at == fake().handles.end())
    return kInvalid;
  fake().used -= at->second;
  fake().handles.erase(at);
  return 0;
}
static Reservation *reservationAt(uint64_t address) {
  auto after = fake().reservations.upper_bound(address);
  return after == fake().reservations.begin() ? nullptr : &std::prev(after)->second;
}
int fake_mapMemory(uint64_t address, size_t bytes, size_t offset, uint64_t handle, unsigned long long) {
  ENTER_GPU("mapMemory")
  Reservation *range = reservationAt(address);
  if (!range || offset || !fake().handles.count(handle) || fake().handles[handle] != bytes ||
      range->pieces.count(address))
    return kInvalid;
  range->pieces[address] = bytes;
  return 0;
}
int fake_unmapMemory(uint64_t address, size_t bytes) {
  ENTER_GPU("unmapMemory")
  Reservation *range = reservationAt(address);
  if (!range || !range->pieces.count(address) || range->pieces[address] != bytes)
    return kInvalid;
  range->pieces.erase(address);
  fake().showRuns(*range);
  madvise(reinterpret_cast<void *>(address), bytes, MADV_DONTNEED);
  mprotect(reinterpret_cast<void *>(address), bytes, PROT_NONE);
  return 0;
}
int fake_setAccess(uint64_t address, size_t bytes, const void *descriptions, size_t count) {
  ENTER_GPU("setAccess")
  Reservation *range = reservationAt(address);
  if (!range || !range->pieces.count(address) || count != 1 ||
      static_cast<const driver::MemoryAccess *>(descriptions)->flags != 3)
    return kInvalid;
  mprotect(reinterpret_cast<void *>(address), bytes, PROT_READ | PROT_WRITE);
  fake().showRuns(*range);
  return 0;
}
int fake_parameterPlace(void *function, size_t index, size_t *offset, size_t *bytes) {
  ENTER_GPU("parameterPlace")
  const ImageKernel &kernel = static_cast<Function *>(function)->kernel->parameters;
  const std::vector<size_t> places = parameterPlaces(kernel);
  if (index >= places.size())
    return kInvalid;
  ImageKernel until = kernel;
  until.parameters.resize(index + 1);
  *offset = places[index];
  *bytes = parameterBytes(until) - places[index];
  return 0;
}
