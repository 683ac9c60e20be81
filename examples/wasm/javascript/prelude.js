// What scripts see of Lockstep: heap, child, ret, log, charge. Values cross in the canonical encoding of actors.values.
// null, booleans, strings and Uint8Arrays are themselves; an integer number or a BigInt is an int, another number a float;
// an Array is a tuple (vectors come as Arrays too); a Map or a plain object of strings is a map. Ints of more than 53 bits
// come as BigInts, maps as Maps, sets as Sets.
(() => {
  "use strict";
  const door = globalThis.__lockstep;
  delete globalThis.__lockstep;
  const [GET, NEXT, ANSWER, SET, DELETE, CALL, LOG, , CHARGE] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

  const utf8 = (text) => {
    const out = [];
    for (const letter of text) {
      const n = letter.codePointAt(0);
      if (n >= 0xd800 && n < 0xe000) throw new TypeError("a string has half a surrogate pair");
      if (n < 0x80) out.push(n);
      else if (n < 0x800) out.push(0xc0 | (n >> 6), 0x80 | (n & 63));
      else if (n < 0x10000) out.push(0xe0 | (n >> 12), 0x80 | ((n >> 6) & 63), 0x80 | (n & 63));
      else out.push(0xf0 | (n >> 18), 0x80 | ((n >> 12) & 63), 0x80 | ((n >> 6) & 63), 0x80 | (n & 63));
    }
    return out;
  };

  const fromUtf8 = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; ) {
      const b = bytes[i++];
      let [n, more] = b < 0x80 ? [b, 0] : b < 0xe0 ? [b & 31, 1] : b < 0xf0 ? [b & 15, 2] : [b & 7, 3];
      while (more--) n = (n << 6) | (bytes[i++] & 63);
      text += String.fromCodePoint(n);
    }
    return text;
  };

  const count = (n) => {
    const out = [];
    for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
    out.push(n);
    return out;
  };

  // The bytes of a BigInt, big-endian: the fewest of two's complement, or of its magnitude for keys.
  const bytesOf = (n, size) => {
    const out = [];
    for (let i = 0; i < size; i++, n >>= 8n) out.unshift(Number(n & 255n));
    return out;
  };

  const int = (n) => {
    if (n >= 0n && n < 128n) return [0x80 + Number(n)];
    let size = 1;
    while (BigInt.asIntN(8 * size, n) !== n) size++;
    return [3, ...count(size), ...bytesOf(n, size)];
  };

  const compare = (a, b) => {
    for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
    return a.length - b.length;
  };

  const encode = (value) => {
    if (value === null || value === undefined) return [0];
    if (value === false) return [1];
    if (value === true) return [2];
    if (typeof value === "bigint") return int(value);
    if (typeof value === "number") {
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) return int(BigInt(value));
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      return [4, ...(value !== value ? [0x7f, 0xf8, 0, 0, 0, 0, 0, 0] : new Uint8Array(view.buffer))];
    }
    if (typeof value === "string") {
      const body = utf8(value);
      return [5, ...count(body.length), ...body];
    }
    if (value instanceof Uint8Array) return [6, ...count(value.length), ...value];
    if (Array.isArray(value)) return [7, ...count(value.length), ...value.flatMap(encode)];
    if (value instanceof Set) {
      const members = [...value].map(encode).sort(compare);
      return [10, ...count(members.length), ...members.flat()];
    }
    const pairs = (value instanceof Map ? [...value] : Object.entries(value)).map(([k, v]) => [encode(k), encode(v)]);
    pairs.sort((a, b) => compare(a[0], b[0]));
    return [9, ...count(pairs.length), ...pairs.flat(2)];
  };

  const decode = (bytes) => {
    let at = 0;
    const number = () => {
      let n = 0;
      for (let scale = 1; ; scale *= 128) {
        const b = bytes[at++];
        n += (b & 127) * scale;
        if (b < 128) return n;
      }
    };
    const take = () => {
      const size = number();
      return bytes.slice(at, (at += size));
    };
    const each = (one) => Array.from({ length: number() }, one);
    const item = () => {
      const code = bytes[at++];
      if (code >= 0x80) return code - 0x80;
      switch (code) {
        case 0: return null;
        case 1: return false;
        case 2: return true;
        case 3: {
          const body = take();
          const n = BigInt.asIntN(8 * body.length, body.reduce((sum, b) => (sum << 8n) | BigInt(b), 0n));
          return Number.isSafeInteger(Number(n)) ? Number(n) : n;
        }
        case 4: return new DataView(bytes.slice(at, (at += 8)).buffer).getFloat64(0);
        case 5: return fromUtf8(take());
        case 6: return take();
        case 7: case 8: return each(item);
        case 9: return new Map(each(() => [item(), item()]));
        case 10: return new Set(each(item));
        default: throw new TypeError(`a value of kind ${code} has no place in a script`);
      }
    };
    return item();
  };

  const escaped = (body) => body.flatMap((b) => (b === 0 ? [1, 2] : b === 1 ? [1, 3] : [b]));

  const element = (one) => {
    if (typeof one === "string") return [2, ...escaped(utf8(one)), 0];
    if (one instanceof Uint8Array) return [1, ...escaped([...one]), 0];
    const n = BigInt(one);
    if (n === 0n) return [0x14];
    const size = (n < 0n ? -n : n).toString(16).length + 1 >> 1;
    if (size > 8) throw new RangeError("an int in a key has more than 64 bits");
    return n > 0n ? [0x14 + size, ...bytesOf(n, size)] : [0x14 - size, ...bytesOf(n + (1n << BigInt(8 * size)) - 1n, size)];
  };
  const keyOf = (key) => new Uint8Array((Array.isArray(key) ? key : [key]).flatMap(element)).buffer;
  const formOf = (value) => new Uint8Array(encode(value)).buffer;

  const call = (...elements) => {
    const size = door(CALL, formOf(elements));
    const answer = decode(new Uint8Array(door(ANSWER)));
    if (size >= 0) return answer;
    const error = new Error(`${answer[0]}: ${answer[1]}`);
    error.code = answer[0];
    error.gas = answer[2];
    throw error;
  };

  globalThis.heap = Object.freeze({
    get(key, otherwise) {
      const form = door(GET, keyOf(key));
      return form === undefined ? otherwise : decode(new Uint8Array(form));
    },
    set: (key, value) => door(SET, keyOf(key), formOf(value)),
    delete: (key) => door(DELETE, keyOf(key)) === 1,
  });
  globalThis.child = Object.freeze({
    make: (name, values = {}, { del = [], start = false, gas = null } = {}) => call("make", name, values, del, start, gas),
    put: (name, values = {}, { del = [], start = false, gas = null } = {}) => call("put", name, values, del, start, gas),
    get: (name, ...keys) => call("get", name, ...keys),
    changes: (name) => call("changes", name),
    merge: (name, region) => call("merge", name, region),
    status: (name) => call("status", name),
    drop: (name) => call("drop", name),
  });
  globalThis.ret = () => call("ret");
  globalThis.log = (...things) => door(LOG, new Uint8Array(utf8(things.join(" "))).buffer);
  globalThis.charge = (gas) => door(CHARGE, gas);
  globalThis.__main = () => {
    const script = heap.get("script");
    if (typeof script !== "string") throw new TypeError("there is no script: put its text under 'script'");
    (0, eval)(script);
  };
})();
