/** Directories and trees of a guest that lies. Those of one that does not are in `names_test.ts`. @module */
import assert from "node:assert/strict";
import { encodeFileMessage } from "../../../../src/agent/file_codec.ts";
import { FileKind } from "../../../../src/agent/file_messages.ts";
import { encodeUtf8 } from "../../../../src/base/bytes.ts";
import { SandboxFsOps } from "../../../../src/sandbox/files/fs_ops.ts";
import { attributes, FakeFileGuest } from "../../../support/guest/fake_files.ts";
import { test } from "../../../support/harness.ts";

/** The files of a guest that tells of one entry. */
async function filesWith(path: string): Promise<SandboxFsOps> {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("entry", id, { path: encodeUtf8(path), target: encodeUtf8(""), ...attributes() });
    peer.answer("done", id, {});
  });
  return new SandboxFsOps({ connect: async () => guest.client }, { user: "", cwd: "/" });
}

for (const path of ["..", "../x", "/etc/passwd", "a//b", "a/", "./a", "a\0b"]) {
  test(`SandboxFsOps.list() and walk() refuse an entry ${JSON.stringify(path)}`, async () => {
    await assert.rejects((await filesWith(path)).list("/d"), { code: "protocol" });
    const walk = (await filesWith(path)).walk("/d");
    await assert.rejects(walk.getReader().read(), { code: "protocol" });
  });
}

test("SandboxFsOps.list() refuses an entry of a directory below", async () => {
  await assert.rejects((await filesWith("a/b")).list("/d"), { code: "protocol" });
  for await (const { path, name } of (await filesWith("a/b")).walk("/d"))
    assert.deepEqual([path, name], ["/d/a/b", "b"]);
});

test("SandboxFsOps.list() holds a bounded amount of names and targets, whatever a guest sends", async () => {
  const [name, target] = [new Uint8Array(255).fill(0x61), new Uint8Array(4000).fill(0x62)];
  const guest = await FakeFileGuest.start((peer, { id }) => {
    const entry = encodeFileMessage("entry", id, {
      path: name,
      target,
      ...attributes({ kind: FileKind.symlink }),
    });
    for (let count = 0; count < 20_000; count++) peer.sendBytes(entry);
    peer.answer("done", id, {});
  });
  const fs = new SandboxFsOps({ connect: async () => guest.client }, { user: "", cwd: "/" });
  await assert.rejects(fs.list("/d"), { code: "fileLimit", limit: 64 * 1024 * 1024 });
});
