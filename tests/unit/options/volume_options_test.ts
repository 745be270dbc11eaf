/** What a caller may ask of a volume. @module */
import assert from "node:assert/strict";
import { MiB } from "../../../src/base/bytes.ts";
import { InvalidConfigError } from "../../../src/base/errors.ts";
import { checkMount, mountSchema, volumeRequests } from "../../../src/options/mount_options.ts";
import { checkWanted, parseVolumeOptions, volumeConfig } from "../../../src/options/volume_options.ts";
import { test } from "../../support/harness.ts";

function refuses(check: () => unknown, part: RegExp): void {
  assert.throws(check, (error) => {
    assert.ok(error instanceof InvalidConfigError, String(error));
    assert.match(error.message, part);
    return true;
  });
}

test("parseVolumeOptions() fills in defaults", () => {
  const directory = { name: "a", kind: "directory", sizeMiB: undefined, labels: {} };
  assert.deepEqual(parseVolumeOptions({ name: "a" }), directory);
  assert.deepEqual(parseVolumeOptions({ name: "a", kind: undefined, labels: undefined }), directory);
  assert.deepEqual(parseVolumeOptions({ name: "a", kind: "disk", labels: { b: "c" } }), {
    ...{ name: "a", kind: "disk", sizeMiB: 4096, labels: { b: "c" } },
  });
});

test("parseVolumeOptions() refuses invalid options, and suggests what was meant", () => {
  const parse = (options: object) => () => parseVolumeOptions(options as { name: string });
  refuses(parse({}), /name: must be given/);
  for (const name of ["", "../x", "a/b", ".a", "a".repeat(129), "a\0"]) refuses(parse({ name }), /name/);
  refuses(parse({ name: "a", kind: "file" }), /kind/);
  refuses(parse({ name: "a", sizeMiB: 64 }), /sizeMiB: is for disks only/);
  for (const sizeMiB of [0, 15, 1.5, 16 * 1024 * 1024 + 1])
    refuses(parse({ name: "a", kind: "disk", sizeMiB }), /sizeMiB/);
  refuses(parse({ name: "a", size: 64 }), /size: is not known/);
  refuses(parse({ name: "a", labels: { "": "x" } }), /labels/);
  const labels = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`l${index}`, ""]));
  refuses(parse({ name: "a", labels }), /at most 64/);
  assert.throws(() => parseVolumeOptions(null as unknown as { name: string }), InvalidConfigError);
});

test("checkMount() takes a volume by its name, with its options", () => {
  const { mount, volume } = checkMount("/data", { volume: "cache" });
  assert.deepEqual(mount, {
    ...{ kind: "volume", target: "/data", volume: "cache", readonly: false, noExec: false, owner: undefined },
  });
  assert.equal(volume?.mode, "existing");
  const made = checkMount("/data", {
    volume: "db",
    mode: "ensure",
    kind: "disk",
    sizeMiB: 64,
    readonly: true,
  });
  assert.deepEqual(made.volume, {
    name: "db",
    mode: "ensure",
    wanted: { kind: "disk", sizeMiB: 64 },
    config: { name: "db", kind: "disk", sizeMiB: 64, labels: {} },
  });
  refuses(() => checkMount("/data", { volume: "../x" }), /volume/);
  refuses(() => checkMount("/data", { volume: "x", kind: "disk" }), /mode: "create" or "ensure"/);
  refuses(() => checkMount("/data", { volume: "x", mode: "ensure", sizeMiB: 64 }), /disks only/);
  refuses(() => checkMount("/data", { volume: "x", mode: "always" } as never), /mode/);
  refuses(
    () => checkMount("/data", { volume: "x", bind: "/tmp" } as never),
    /must have only one of bind, volume/,
  );
});

test("volumeRequests() names the volumes of mounts alone", () => {
  const mounts = {
    "/a": mountSchema.parse({ volume: "one", mode: "create" }),
    "/b": mountSchema.parse("/tmp"),
    "/c": mountSchema.parse({ tmpfs: true }),
  };
  assert.deepEqual(
    volumeRequests(mounts).map(({ name, mode }) => [name, mode]),
    [["one", "create"]],
  );
});

test("checkWanted() refuses a volume that is not what was asked for", () => {
  const request = (kind?: "directory" | "disk", sizeMiB?: number) => ({
    name: "a",
    mode: "ensure" as const,
    wanted: { kind, sizeMiB },
    config: volumeConfig("a", {}),
  });
  const directory = { kind: "directory", sizeBytes: undefined } as const;
  const disk = { kind: "disk", sizeBytes: 64 * MiB } as const;
  checkWanted(request(), directory);
  checkWanted(request(), disk);
  checkWanted(request("disk", 64), disk);
  refuses(() => checkWanted(request("disk"), directory), /the volume "a" is a directory/);
  refuses(() => checkWanted(request("directory"), disk), /is a disk/);
  refuses(() => checkWanted(request("disk", 65), disk), /has 64 MiB/);
});
