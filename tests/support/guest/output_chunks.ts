/**
 * What a program wrote, out of the chunks that `SandboxManager` gives.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { OutputChunk } from "../../../mod.ts";

/** All output as text, and the exit chunk: there must be one, and nothing behind it. */
export async function collectChunks(
  chunks: ReadableStream<OutputChunk>,
): Promise<{ readonly text: string; readonly exit: OutputChunk }> {
  const decoder = new TextDecoder();
  let text = "";
  let exit: OutputChunk | undefined;
  for await (const chunk of chunks) {
    assert.ok(exit === undefined, "nothing follows the exit");
    if (chunk.stream === "exit") exit = chunk;
    else text += decoder.decode(chunk.data, { stream: true });
  }
  assert.ok(exit !== undefined, "the stream ended without an exit chunk");
  return { text, exit };
}
