/** Faces over a backend in memory, for tests that need no VM. @module */
import assert from "node:assert/strict";
import { InvalidConfigError, Sandbox, type SandboxOptions } from "../../../mod.ts";
import { useBackend } from "../../../src/backend/default_backend.ts";
import { temporaryDirectory } from "../harness.ts";
import { MemoryBackend } from "./memory_backend.ts";

/** Runs `body` with faces on a backend in memory. The home is a file, so that whatever reaches for it fails. */
export async function overMemory(body: (backend: MemoryBackend) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory();
  const before = process.env["MSB_HOME"];
  process.env["MSB_HOME"] = `${directory.path}/none/such`;
  try {
    await using backend = new MemoryBackend();
    using _used = useBackend(backend);
    await body(backend);
  } finally {
    if (before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = before;
  }
}

/** Runs `body` with a sandbox over a backend in memory, whose programs are this machine's. */
export function withSandbox(
  body: (sandbox: Sandbox) => Promise<void>,
  more: Partial<SandboxOptions> = {},
): Promise<void> {
  return overMemory(async () => {
    const env = { PATH: "/usr/bin:/bin" };
    await body(
      await Sandbox.create({ name: "box", image: "none", memoryMiB: 128, workdir: "/", env, ...more }),
    );
  });
}

/** For `assert.rejects()`: whether options are refused for this field alone. */
export function fieldsOf(field: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof InvalidConfigError, String(error));
    assert.deepEqual(
      error.issues.map((issue) => issue.field),
      [field],
    );
    return true;
  };
}
