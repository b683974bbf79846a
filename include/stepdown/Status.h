/* What every call of the C APIs returns that can fail, and the mark of what leaves the libraries. */
#ifndef STEPDOWN_STATUS_H
#define STEPDOWN_STATUS_H
#include <stdint.h>

#if defined(__GNUC__)
#define STEPDOWN_API __attribute__((visibility("default")))
#else
#define STEPDOWN_API
#endif

/* `code` is 0 on success, else a number of docs/errors.md; `text` is valid until the thread's next call. */
typedef struct stepdown_status {
  int32_t code;
  const char *text;
} stepdown_status;

#endif
