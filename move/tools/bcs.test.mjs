import assert from "node:assert/strict";
import { test } from "node:test";

import { blake2b256, bytes, fieldId, freshId, option, string, u64 } from "./bcs.mjs";

const hex = (buffer) => buffer.toString("hex");

test("blake2b with 32 bytes of output agrees with another implementation", () => {
  // Python's hashlib.blake2b(…, digest_size=32): one block, a full block, and more.
  const known = [
    ["616263", "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"],
    ["", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"],
    ["00".repeat(128), "378d0caaaa3855f1b38693c1d6ef004fd118691c95c959d4efa950d6d6fcf7c1"],
    ["00".repeat(300), "3b7fa24c99516cfee0cc68a8670eae28e9f4636460b4a8c09feeef5409504bff"],
  ];
  for (const [input, output] of known) {
    assert.equal(blake2b256(Buffer.from(input, "hex")), output);
  }
});

test("a dynamic field's id is the one that a real network gave", () => {
  // Recorded from a Sui 1.57 network: a registry with fields keyed by `Key { owner }`.
  const parent = "0xb050d7513a718600748043f6078537bd8272d341172d4767cc3d6fa9182be006";
  const tag = Buffer.concat([
    Buffer.from("07", "hex"),
    Buffer.from("8c11810f6f0ad34c0cfdb72f93a35dc47665472d85804c2602a06c4a84a0b743", "hex"),
    string("probe"),
    string("Key"),
    Buffer.from("00", "hex"),
  ]);
  assert.equal(
    fieldId(parent, Buffer.alloc(32, 0xa1), tag),
    "0x16f542589e9a15382d2bc2fce8e788a9684df4d213dcac75f44fac6e1f6d6b75",
  );
});

test("a fresh id depends on the digest and the place", () => {
  const digest = "11".repeat(32);
  assert.notEqual(freshId(digest, 0), freshId(digest, 1));
  assert.notEqual(freshId(digest, 0), freshId("22".repeat(32), 0));
});

test("lengths over 127 take two bytes", () => {
  assert.equal(hex(bytes("00".repeat(127))).slice(0, 2), "7f");
  assert.equal(hex(bytes("00".repeat(128))).slice(0, 4), "8001");
  assert.equal(hex(u64(2n ** 64n - 1n)), "ff".repeat(8));
  assert.equal(hex(option(null, string)), "00");
  assert.equal(hex(option("é", string)), "0102c3a9");
});
