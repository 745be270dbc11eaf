/** What wraps a file system: hooks around each operation, and a refusal of every change. @module */
import assert from "node:assert/strict";
import { FileSystemError } from "../../../src/mount/errno.ts";
import type { FileSystemProvider, ProviderFile, ProviderOpenOptions } from "../../../src/mount/provider.ts";
import { withHooks } from "../../../src/mount/providers/hooks.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { ReadonlyFileSystem } from "../../../src/mount/providers/readonly_file_system.ts";
import { test } from "../../support/harness.ts";

const OPEN: ProviderOpenOptions = {
  read: true,
  write: true,
  append: false,
  truncate: false,
  create: true,
  exclusive: false,
  mode: 0o644,
};
const BYTES = Uint8Array.of(1, 2, 3);

test("withHooks() tells of every operation, with its arguments and how it ended", async () => {
  const told: string[] = [];
  const files = withHooks(new MemoryFileSystem({ a: "text" }), {
    before: ({ kind, path }) => void told.push(`${kind} ${path}`),
    after: ({ kind, arguments: values }, outcome) =>
      void told.push(`${kind} ${values.length} ${outcome.ok ? "done" : errorCode(outcome.error)}`),
  });
  const file = await files.open("/b", OPEN);
  await file.write?.(0, BYTES);
  await file.close();
  assert.throws(() => files.removeFile?.("/none"), { code: "ENOENT" });
  assert.deepEqual(told, [
    "open /b",
    "open 2 done",
    "file.write /b",
    "file.write 2 done",
    "file.close /b",
    "file.close 0 done",
    "removeFile /none",
    "removeFile 1 ENOENT",
  ]);
});

function errorCode(error: unknown): string {
  return error instanceof FileSystemError ? error.code : String(error);
}

test("withHooks() lets a hook refuse, at once or later, and leaves nothing open", async () => {
  let open = 0;
  const memory = new MemoryFileSystem({ a: "text" });
  const counted: FileSystemProvider = {
    attributes: (path) => memory.attributes(path),
    list: (path) => memory.list(path),
    removeFile: (path) => memory.removeFile(path),
    open: (path, options) => {
      const file = memory.open(path, options);
      open++;
      return { ...file, close: () => void open-- };
    },
  };
  for (const isLater of [false, true])
    for (const when of ["before", "after"] as const) {
      let refused = "open";
      const refuse = ({ kind }: { readonly kind: string }) => {
        if (kind === refused) throw new FileSystemError("EACCES");
      };
      const hook = isLater ? async (operation: { readonly kind: string }) => refuse(operation) : refuse;
      const files = withHooks(counted, { [when]: hook });
      await assert.rejects(async () => await files.open("/a", OPEN), { code: "EACCES" });
      assert.equal(open, 0);
      refused = "file.close";
      const file: ProviderFile = await files.open("/a", OPEN);
      await assert.rejects(async () => await file.close(), { code: "EACCES" });
      assert.equal(open, 0, "a file is closed all the same");
      refused = "removeFile";
      if (when === "after") continue;
      await assert.rejects(async () => await files.removeFile?.("/a"), { code: "EACCES" });
      assert.equal(memory.readText("/a"), "text");
    }
  assert.equal(withHooks(counted, {}).makeDirectory, undefined, "what the provider lacks stays missing");
});

test("ReadonlyFileSystem refuses every change and shows the rest", async () => {
  const memory = new MemoryFileSystem({ a: "text" });
  memory.makeSymlink("/l", "a");
  const files = new ReadonlyFileSystem(memory);
  for (const options of [{ write: true }, { truncate: true }, { create: true }])
    assert.throws(() => files.open("/a", { ...OPEN, write: false, create: false, ...options }), {
      code: "EROFS",
    });
  const file = await files.open("/a", { ...OPEN, write: false, create: false });
  assert.equal(new TextDecoder().decode(await file.read(0, 9)), "text");
  assert.equal(file.write, undefined);
  assert.equal(file.setAttributes, undefined);
  assert.equal(await files.readLink("/l"), "a");
  const changing: readonly (keyof FileSystemProvider)[] = [
    "setAttributes",
    "makeDirectory",
    "makeNode",
    "makeLink",
  ];
  const provider: FileSystemProvider = files;
  for (const name of [...changing, "rename", "removeFile", "setExtended"] as const)
    assert.equal(provider[name], undefined, `${name} is EROFS to the guest`);
});
