/** Faces over a backend in memory, for tests that need no VM. @module */
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
