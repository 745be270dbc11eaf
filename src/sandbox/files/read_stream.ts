/**
 * Reading a file of a sandbox as it is taken.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import { ContentStream } from "./content_stream.ts";
import { fileError } from "./errors.ts";
import { answerOf, type FileCaller, type FileWork } from "./file_caller.ts";
import { metadataOf } from "./metadata.ts";
import type { ReadRequest } from "./read.ts";

/**
 * The content of a file in the sandbox: a `ReadableStream` that also has the known SDK's {@linkcode AnswerStream.recv} and
 * {@linkcode ContentStream.collect}. What is not read stays on the sandbox's disk. Cancelling it, leaving a loop over it, or `await using`
 * ends what reads it in the guest.
 *
 * @example
 * ```ts
 * await using stream = await sandbox.fs().readStream("/etc/passwd");
 * let bytes = 0;
 * for await (const chunk of stream) bytes += chunk.length;
 * console.log(bytes === stream.metadata.size);
 * ```
 */
export class FsReadStream extends ContentStream {}

/** Opens a file for reading, by a session of its own. */
export async function openReadStream(
  caller: FileCaller,
  work: FileWork,
  { path, offset, length = Number.MAX_SAFE_INTEGER }: Omit<ReadRequest, "bytesMax">,
): Promise<FsReadStream> {
  const session = await caller.open(work);
  const call = session.call("read", { path, offset, length, flags: 0 });
  const close = () => {
    call.discard();
    session.close();
  };
  try {
    const metadata = metadataOf(answerOf("opened", await call.next()));
    const next = async () => {
      try {
        const answer = await call.next();
        // Content is given as it came, in memory of its own.
        return answer?.name === "data" ? (answer.fields.data as Bytes) : undefined;
      } catch (error) {
        throw fileError(error, work);
      }
    };
    return new FsReadStream({ next, close }, work, metadata);
  } catch (error) {
    close();
    throw fileError(error, work);
  }
}
