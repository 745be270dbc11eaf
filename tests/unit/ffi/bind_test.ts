import assert from "node:assert/strict";
import process from "node:process";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { loadNativeInterface } from "../../../src/ffi/bind.ts";
import { cString, withAddress, withCStringArray } from "../../../src/ffi/c_memory.ts";
import type { SymbolTable } from "../../../src/ffi/symbol_table.ts";
import { test } from "../../support/harness.ts";

const LIBC = "libc.so.6";
const native = await loadNativeInterface();

test("open() binds functions of every kind of type", () => {
  const c = native.open(LIBC, {
    getpid: [[], "i32"],
    strlen: [["cstring"], "u64"],
    strtoul: [["cstring", "buffer", "i32"], "u64"],
    abs: [["i32"], "i32"],
    memset: [["buffer", "i32", "u64"], "address"],
    htonl: [["u32"], "u32"],
  } as const satisfies SymbolTable);
  assert.equal(c.getpid(), process.pid);
  assert.equal(c.strlen(cString("häuser")), 7n);
  assert.equal(c.strtoul(cString("18446744073709551615"), null, 10), 0xffff_ffff_ffff_ffffn);
  assert.equal(c.abs(-5), 5);
  assert.equal(c.htonl(0x0000_00ff), 0xff00_0000);
  const bytes = new Uint8Array(100);
  assert.notEqual(c.memset(bytes, 7, 100n), 0n);
  assert.deepEqual([...new Set(bytes)], [7]);
});

test("open() leaves an optional function undefined and binds the others", () => {
  const c = native.open(LIBC, {
    msb_no_such_function: [["u32"], "i32", "optional"],
    getpid: [[], "i32", "optional"],
  } as const satisfies SymbolTable);
  assert.equal(c.msb_no_such_function, undefined);
  assert.equal(c.getpid?.(), process.pid);
});

test("open() names every required function that is missing", () => {
  const table = { msb_absent_a: [[], "i32"], getpid: [[], "i32"], msb_absent_b: [[], "i32"] } as const;
  assert.throws(() => native.open(LIBC, table), { message: "libc.so.6 lacks msb_absent_a, msb_absent_b" });
});

test("open() passes on the loader's message", () => {
  assert.throws(
    () => native.open("/nonexistent/libabsent.so.1", {}),
    /libabsent\.so\.1: cannot open shared object file/,
  );
});

test("readMemory() copies what addressOf() points at", () => {
  for (const sizeBytes of [1, 8, 64, 65, 100_000]) {
    const whole = new Uint8Array(sizeBytes + 3).map((_, index) => index % 251);
    const view = whole.subarray(3);
    const copy = withAddress(native, view, (address) => native.readMemory(address, sizeBytes));
    assert.deepEqual(copy, whole.slice(3));
    whole.fill(0);
    assert.equal(copy.at(-1), (sizeBytes + 2) % 251, "the copy does not change with its source");
  }
});

test("withCStringArray() gives pointers to each string and closes with NULL", () => {
  const words = ["", "a", "root=/dev/vda", "ä".repeat(5000)];
  withCStringArray(native, words, (array) => {
    const view = new DataView(array.buffer, array.byteOffset);
    assert.equal(array.length, (words.length + 1) * 8);
    words.forEach((word, index) => {
      const expected = encodeUtf8(`${word}\0`);
      assert.deepEqual(native.readMemory(view.getBigUint64(index * 8, true), expected.length), expected);
    });
    assert.equal(view.getBigUint64(words.length * 8, true), 0n);
  });
});

test("cString() refuses a NUL inside", () => {
  assert.throws(() => cString("a\0b"), { code: "internal" });
});
