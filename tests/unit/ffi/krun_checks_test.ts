import assert from "node:assert/strict";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import {
  checkDeviceCount,
  checkFd,
  checkHostPath,
  checkKernelWords,
  checkMac,
  checkMemory,
  checkName,
  checkPortMap,
  checkSocketPath,
  checkTapName,
  checkUnused,
  KERNEL_WORDS_BYTES_MAX,
  MEMORY_MIB_MAX,
  VIRTIO_DEVICES_MAX,
} from "../../../src/ffi/krun_checks.ts";
import { checkNetFeatures, NET_FEATURES, NET_FLAGS } from "../../../src/ffi/krun_net_features.ts";
import { test } from "../../support/harness.ts";

/** Asserts that every `good` call passes, and every `bad` one names `field`. */
function expectEach(field: string, { good, bad }: { good: (() => void)[]; bad: (() => void)[] }): void {
  for (const call of good) call();
  for (const call of bad) {
    assert.throws(
      call,
      (error: unknown) => error instanceof InvalidConfigError && error.issues[0]?.field === field,
      `${call}`,
    );
  }
}

const of = <T>(check: (value: T) => void, values: readonly T[]) => values.map((value) => () => check(value));

test("checkMemory() accepts whole MiB within its limits", () => {
  const check = (memoryMiB: number) => checkMemory("m", memoryMiB, 36.5);
  expectEach("m", {
    good: of(check, [64, 512, 4096, MEMORY_MIB_MAX]),
    bad: of(check, [63, 0, -1, 64.5, Number.NaN, Number.POSITIVE_INFINITY, MEMORY_MIB_MAX + 1]),
  });
});

test("checkMemory() wants memory beyond the kernel's end", () => {
  const check = (memoryMiB: number) => checkMemory("m", memoryMiB, 99.5);
  expectEach("m", { good: of(check, [101]), bad: of(check, [100]) });
});

test("checkMemory() refuses the sizes that do not boot on x86_64", () => {
  if (process.arch !== "x64") return;
  const check = (memoryMiB: number) => checkMemory("m", memoryMiB, 36.5625);
  expectEach("m", { good: of(check, [3290, 3329]), bad: of(check, [3291, 3300, 3328]) });
});

test("checkName() accepts printable ASCII up to its limit", () => {
  const check = (name: string) => checkName("n", name, 5);
  expectEach("n", {
    good: of(check, ["a", "a-b_c", "agent"]),
    bad: of(check, ["", "agents", "a b", "é", "a\0", "a\n"]),
  });
});

test("checkHostPath() refuses NUL, nothing, and more bytes than a path has", () => {
  const check = (path: string) => checkHostPath("p", path);
  expectEach("p", {
    good: of(check, ["/", "relative", "/ä b", "x".repeat(4095)]),
    bad: of(check, ["", "/a\0b", "x".repeat(4096), "é".repeat(2048)]),
  });
});

test("checkSocketPath() refuses the 108th byte", () => {
  const check = (path: string) => checkSocketPath("p", path);
  expectEach("p", { good: of(check, ["x".repeat(107)]), bad: of(check, ["x".repeat(108), "é".repeat(54)]) });
});

test("checkTapName() accepts interface names of at most 15 bytes", () => {
  const check = (name: string) => checkTapName("t", name);
  expectEach("t", {
    good: of(check, ["tap0", "msb-0123456789a"]),
    bad: of(check, ["", "msb-0123456789ab", "a/b", "a b", ".", "..", "tap%d", "eth0:1"]),
  });
});

test("checkMac() accepts 6 bytes of a unicast address", () => {
  const check = (mac: number[]) => checkMac("mac", new Uint8Array(mac));
  expectEach("mac", {
    good: of(check, [[2, 0, 0, 0, 0, 1]]),
    bad: of(check, [[], [2, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0, 1], [3, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]),
  });
});

test("checkKernelWords() refuses what would abort libkrun or be cut by the kernel", () => {
  const check = (words: string[]) => checkKernelWords("w", words);
  const longest = "x".repeat(KERNEL_WORDS_BYTES_MAX - 3);
  expectEach("w", {
    good: of(check, [[], ["root=/dev/vda", "ro"], ["A=b c"], [longest]]),
    bad: of(check, [[""], ["A=é"], ['A="b"'], ["a\nb"], ["a\0"], [`${longest}x`], [longest, "a"]]),
  });
});

test("checkPortMap() refuses ports out of range and ports that repeat", () => {
  const check = (pairs: [number, number][]) =>
    checkPortMap(
      "p",
      pairs.map(([hostPort, guestPort]) => ({ hostPort, guestPort })),
    );
  expectEach("p.hostPort", {
    good: of(check, [
      [],
      [[1, 65535]],
      [
        [80, 80],
        [81, 81],
      ],
    ]),
    bad: of(check, [
      [[0, 1]],
      [[65536, 1]],
      [
        [80, 1],
        [80, 2],
      ],
    ]),
  });
  expectEach("p.guestPort", {
    good: [],
    bad: of(check, [
      [[1, 1.5]],
      [
        [80, 1],
        [81, 1],
      ],
    ]),
  });
});

test("checkFd() accepts open descriptors and -1", () => {
  const check = (fd: number) => checkFd("fd", fd, (number) => number === 3);
  expectEach("fd", { good: of(check, [-1, 3]), bad: of(check, [-2, 4, 3.5, Number.NaN]) });
});

test("checkUnused() refuses the second use of a name", () => {
  const check = (name: string) => checkUnused("id", name, new Set(["a"]));
  expectEach("id", { good: of(check, ["b"]), bad: of(check, ["a"]) });
});

test("checkDeviceCount() refuses one device more than there are interrupts", () => {
  expectEach("devices", {
    good: of(checkDeviceCount, [VIRTIO_DEVICES_MAX]),
    bad: of(checkDeviceCount, [VIRTIO_DEVICES_MAX + 1]),
  });
});

test("checkNetFeatures() refuses unknown bits, and segmentation without checksums on a TAP", () => {
  const { guestCsum, guestTso4, csum } = NET_FEATURES;
  const tap = (features: number) => checkNetFeatures({ features, flags: 0, tap: true });
  const stream = (features: number) => checkNetFeatures({ features, flags: 0, tap: false });
  const flags = (bits: number) => checkNetFeatures({ features: 0, flags: bits, tap: false });
  expectEach("features", {
    good: [...of(tap, [0, csum, guestCsum | guestTso4]), ...of(stream, [guestTso4])],
    bad: [...of(tap, [guestTso4, 1 << 15, -1, 2 ** 32, 0.5])],
  });
  expectEach("flags", { good: of(flags, [0, NET_FLAGS.dhcpClient]), bad: of(flags, [4, -1]) });
});
