/* The functions that a WebAssembly process imports, and the few forms of values that the examples need.
   The contract is the docstring of actors.wasm; the encodings are those of actors.values and actors.keys. */
#ifndef LOCKSTEP_H
#define LOCKSTEP_H

typedef unsigned char byte;
typedef unsigned int u32;
typedef long long i64;

#define LOCKSTEP(name) __attribute__((import_module("lockstep"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

LOCKSTEP(get) int lockstep_get(const void *key, u32 size, void *into, u32 room);
LOCKSTEP(set) void lockstep_set(const void *key, u32 size, const void *value, u32 value_size);
LOCKSTEP(delete) int lockstep_delete(const void *key, u32 size);
LOCKSTEP(next) int lockstep_next(const void *key, u32 size, void *into, u32 room);
LOCKSTEP(call) int lockstep_call(const void *call, u32 size);
LOCKSTEP(answer) int lockstep_answer(void *into, u32 room);
LOCKSTEP(charge) void lockstep_charge(i64 gas);
LOCKSTEP(log) void lockstep_log(const void *text, u32 size);
LOCKSTEP(abort) _Noreturn void lockstep_abort(const void *text, u32 size);

#define ABORT(text) lockstep_abort(text, sizeof(text) - 1)

/* A key or a value that is being written. */
typedef struct {
  u32 size;
  byte bytes[1016];
} form;

static inline void form_byte(form *f, byte b) {
  if (f->size == sizeof f->bytes) ABORT("a form is too long");
  f->bytes[f->size++] = b;
}

static inline void form_bytes(form *f, const void *from, u32 size) {
  for (u32 i = 0; i < size; i++) form_byte(f, ((const byte *)from)[i]);
}

static inline void form_count(form *f, u32 n) {
  for (; n > 127; n >>= 7) form_byte(f, (byte)(n | 128));
  form_byte(f, (byte)n);
}

static inline u32 text_size(const char *text) {
  u32 size = 0;
  while (text[size]) size++;
  return size;
}

/* A string as an element of a key: 02, its UTF-8, 00. (No string here has a 00 or 01 in it, which would be escaped.) */
static inline void key_text(form *f, const char *text, u32 size) {
  form_byte(f, 2);
  form_bytes(f, text, size);
  form_byte(f, 0);
}

static inline void value_text(form *f, const char *text) {
  form_byte(f, 5);
  form_count(f, text_size(text));
  form_bytes(f, text, text_size(text));
}

/* An int: one byte below 128, else 03, the count of its bytes, and the fewest of them, big-endian, in two's complement. */
static inline void value_int(form *f, i64 n) {
  if (n >= 0 && n < 128) {
    form_byte(f, (byte)(128 + n));
    return;
  }
  int size = 1;
  while (size < 8 && (n < -((i64)1 << (8 * size - 1)) || n >= (i64)1 << (8 * size - 1))) size++;
  form_byte(f, 3);
  form_count(f, (u32)size);
  while (size--) form_byte(f, (byte)(n >> (8 * size)));
}

static inline i64 read_int(const byte *form, int size) {
  if (size == 1 && form[0] >= 128) return form[0] - 128;
  if (size < 3 || form[0] != 3 || form[1] > 8 || size != 2 + form[1]) ABORT("no int of 64 bits");
  i64 n = form[2] >= 128 ? -1 : 0;
  for (int i = 0; i < form[1]; i++) n = (n << 8) | form[2 + i];
  return n;
}

#endif
