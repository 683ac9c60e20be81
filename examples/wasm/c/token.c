/* A token: balances under ("balance", name). Each activation is one transfer, which stands under "from", "to", "amount".
   It refuses what is not covered: then its process traps, and is back at its snapshot. */
#include "lockstep.h"

#define NAME_MAX 64

static int transfers; /* kept in the memory, and so in the heap */

/* Read the string under a key of one string, "\2name". */
static u32 read_name(const char *key, u32 key_size, byte *into) {
  byte value[NAME_MAX + 2];
  int size = lockstep_get(key, key_size, value, sizeof value);
  if (size < 3 || size > (int)sizeof value || value[0] != 5 || value[1] > NAME_MAX) ABORT("no name");
  for (u32 i = 0; i < value[1]; i++) {
    if (value[2 + i] < 2) ABORT("no name");
    into[i] = value[2 + i];
  }
  return value[1];
}

static form balance_key(const byte *name, u32 size) {
  form key = {0};
  key_text(&key, "balance", 7);
  key_text(&key, (const char *)name, size);
  return key;
}

static i64 balance(const form *key) {
  byte value[16];
  int size = lockstep_get(key->bytes, key->size, value, sizeof value);
  return size < 0 ? 0 : read_int(value, size);
}

static void set_int(const void *key, u32 size, i64 n) {
  form value = {0};
  value_int(&value, n);
  lockstep_set(key, size, value.bytes, value.size);
}

EXPORT(run) void run(void) {
  byte from[NAME_MAX], to[NAME_MAX], amount_form[16];
  form payer = balance_key(from, read_name("\2from", 6, from));
  form payee = balance_key(to, read_name("\2to", 4, to));
  int size = lockstep_get("\2amount", 8, amount_form, sizeof amount_form);
  if (size < 0) ABORT("no amount");
  i64 amount = read_int(amount_form, size);
  if (amount < 0 || balance(&payer) < amount) ABORT("not covered");
  set_int(payer.bytes, payer.size, balance(&payer) - amount);
  set_int(payee.bytes, payee.size, balance(&payee) + amount);
  set_int("\2transfers", 11, ++transfers);
}
