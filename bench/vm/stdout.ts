/**
 * How fast a program's output passes through agent, relay, log and client, each in a process of its own and no VM
 * between them. The client reads the channel's Web Stream, as a user does.
 *
 * @module
 */
import { MiB } from "../../src/base/bytes.ts";
import { temporaryBenchDirectory } from "../support/directories.ts";
import type { NativePrograms } from "../support/native_programs.ts";
import { NativeHost } from "./native_host.ts";

export interface StdoutOptions {
  readonly kind: "text" | "binary";
  /** Whether the log is written. */
  readonly logged: boolean;
  readonly sizeMiB: number;
  readonly profileDirectory?: string | undefined;
}

export interface StdoutRun extends StdoutOptions {
  readonly megabytesPerSecond: number;
  /** Processor time of the relay's process for a gigabyte. */
  readonly relayCpuMsPerGigabyte: number;
}

/** Sends `sizeMiB` through and takes the time from the first to the last byte. */
export async function measureStdout(programs: NativePrograms, options: StdoutOptions): Promise<StdoutRun> {
  const { kind, sizeMiB } = options;
  using directory = temporaryBenchDirectory();
  await using host = await NativeHost.start(programs, { directory: directory.path, ...options });
  const session = host.exec([programs.produce, kind, String(sizeMiB)]);
  let bytes = 0;
  let beginMs: number | undefined;
  for await (const chunk of session.outputs.get("stdout")?.toReadableStream() ?? []) {
    beginMs ??= performance.now();
    bytes += chunk.length;
  }
  const elapsedMs = performance.now() - (beginMs ?? 0);
  if (bytes !== sizeMiB * MiB) throw new Error(`${bytes} of ${sizeMiB * MiB} bytes arrived`);
  const relayCpuMs = await host.end();
  return {
    ...options,
    megabytesPerSecond: bytes / 1000 / elapsedMs,
    relayCpuMsPerGigabyte: (relayCpuMs * 1e9) / bytes,
  };
}
