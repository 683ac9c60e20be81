/* A parent in C. It makes a child for each number up to "count" out of the module under "guest", waits for each, adds what
   they say under "total", and stops; started again, it goes on behind that with twice as many. It was made with asyncify,
   so that its calls wait, and its stack is kept in the heap while it is stopped. */
#include "lockstep.h"

static byte room[16384];
struct {
  byte *begin, *end;
} lockstep_stack = {room, room + sizeof room};

static byte guest[65536];

static i64 int_under(const char *key, u32 key_size) {
  byte value[16];
  int size = lockstep_get(key, key_size, value, sizeof value);
  if (size < 0 || size > (int)sizeof value) ABORT("no int");
  return read_int(value, size);
}

static void make(i64 child, int guest_size) {
  /* ("make", child, {"by": child, "module": guest}, (), True): in a map, keys stand by their bytes. */
  static byte call[sizeof guest + 256];
  form head = {0};
  form_bytes(&head, "\7\5", 2);
  value_text(&head, "make");
  value_int(&head, child);
  form_bytes(&head, "\x9\2", 2);
  value_text(&head, "by");
  value_int(&head, child);
  value_text(&head, "module");
  u32 size = 0;
  for (; size < head.size; size++) call[size] = head.bytes[size];
  for (int i = 0; i < guest_size; i++) call[size++] = guest[i];
  call[size++] = 7, call[size++] = 0, call[size++] = 2;
  if (lockstep_call(call, size) < 0) ABORT("a child could not be made");
}

static i64 total_of(i64 child) {
  form call = {0};
  form_bytes(&call, "\7\3", 2);
  value_text(&call, "get");
  value_int(&call, child);
  value_text(&call, "total");
  int size = lockstep_call(call.bytes, call.size);
  byte value[16];
  if (size < 0 || lockstep_answer(value, sizeof value) > (int)sizeof value) return -1;
  return read_int(value, size);
}

EXPORT(run) void run(void) {
  for (i64 times = 1;; times++) {
    int size = lockstep_get("\2guest", 7, guest, sizeof guest);
    if (size < 0 || size > (int)sizeof guest) ABORT("no guest");
    i64 count = int_under("\2count", 7) * times, sum = 0;
    for (i64 child = 0; child < count; child++) make(child, size);
    for (i64 child = 0; child < count; child++) sum += total_of(child);
    form value = {0};
    value_int(&value, sum);
    lockstep_set("\2total", 7, value.bytes, value.size);
    lockstep_call("\7\1\5\3ret", 7);
  }
}
