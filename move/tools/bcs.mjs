// The little of BCS, and of Sui's way to make ids, that the golden file needs.
//
// Source: the BCS specification; RFC 7693 (BLAKE2b); LAYOUT.md.

/** A `u64`, little-endian. */
export function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A ULEB128 length. */
function length(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value);
  return Buffer.from(bytes);
}

/** A `u8` or `bool`. */
export const u8 = (value) => Buffer.from([Number(value)]);

/** An address or id, from its text of 64 hex digits after `0x`. */
export const address = (text) => Buffer.from(text.slice(2), "hex");

/** A `vector<u8>`, from hex. */
export const bytes = (hex) => Buffer.concat([length(hex.length / 2), Buffer.from(hex, "hex")]);

/** A `String`. */
export const string = (text) => bytes(Buffer.from(text).toString("hex"));

/** A `vector<T>`. */
export const vector = (items, item) =>
  Buffer.concat([length(items.length), ...items.map((value) => item(value))]);

/** An `Option<T>`. */
export const option = (value, item) =>
  value === null ? u8(0) : Buffer.concat([u8(1), item(value)]);

/** The id of the `index`th object that a transaction makes. */
export function freshId(digest, index) {
  return `0x${blake2b256(Buffer.concat([u8(0xf1), Buffer.from(digest, "hex"), u64(index)]))}`;
}

/** The id of a dynamic field, from BCS of its key and of the key's TypeTag. */
export function fieldId(parent, key, tag) {
  const parts = [u8(0xf0), address(parent), u64(key.length), key, tag];
  return `0x${blake2b256(Buffer.concat(parts))}`;
}

const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n,
];

const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

const MIX = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

const MASK = (1n << 64n) - 1n;
const rotate = (value, by) => ((value >> by) | (value << (64n - by))) & MASK;

/** BLAKE2b with 32 bytes of output, in hex. (Node's has 64 only, another function.) */
export function blake2b256(input) {
  const h = [...IV];
  h[0] ^= 0x01010020n;
  const blocks = Math.max(1, Math.ceil(input.length / 128));
  const padded = Buffer.alloc(blocks * 128);
  input.copy(padded);
  for (let block = 0; block < blocks; block += 1) {
    const last = block === blocks - 1;
    const v = [...h, ...IV];
    v[12] ^= BigInt(last ? input.length : (block + 1) * 128);
    if (last) v[14] ^= MASK;
    for (let round = 0; round < 12; round += 1) {
      const order = SIGMA[round % 10];
      MIX.forEach(([a, b, c, d], i) => {
        const word = (n) => padded.readBigUInt64LE(block * 128 + order[2 * i + n] * 8);
        v[a] = (v[a] + v[b] + word(0)) & MASK;
        v[d] = rotate(v[d] ^ v[a], 32n);
        v[c] = (v[c] + v[d]) & MASK;
        v[b] = rotate(v[b] ^ v[c], 24n);
        v[a] = (v[a] + v[b] + word(1)) & MASK;
        v[d] = rotate(v[d] ^ v[a], 16n);
        v[c] = (v[c] + v[d]) & MASK;
        v[b] = rotate(v[b] ^ v[c], 63n);
      });
    }
    for (let i = 0; i < 8; i += 1) h[i] ^= v[i] ^ v[i + 8];
  }
  return Buffer.concat(h.slice(0, 4).map(u64)).toString("hex");
}
