// include/stepdown/Runtime.h: adapters of a session.
#include "runtime/ApiHandles.h"

using namespace stepdown;
using namespace stepdown::api;

stepdown_status stepdown_session_load_adapter(stepdown_session *session, const char *name, const char *path,
                                              double scale) {
  return guarded([&]() -> Status {
    const Result<int32_t> loaded = session->session->loadAdapter(name, path, scale);
    return loaded ? Status(Done{}) : loaded.error();
  });
}

stepdown_status stepdown_session_unload_adapter(stepdown_session *session, const char *name) {
  return guarded([&] { return session->session->unloadAdapter(name); });
}

size_t stepdown_session_adapter_slots(const stepdown_session *session) {
  const AdapterSet *set = session->session->adapters();
  return set ? set->names().size() - 1 : 0;
}

const char *stepdown_session_adapter_name(const stepdown_session *session, size_t index) {
  return index < stepdown_session_adapter_slots(session) ? session->session->adapters()->names()[index + 1].c_str()
                                                         : nullptr;
}

stepdown_status stepdown_sequence_set_adapter(stepdown_session *session, stepdown_sequence sequence, const char *name) {
  return guarded([&]() -> Status {
    const Result<int32_t> slot = session->session->adapterNamed(name ? name : "");
    return slot ? session->session->setAdapter(sequence, *slot) : Status(slot.error());
  });
}
