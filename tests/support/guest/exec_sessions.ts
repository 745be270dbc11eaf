/**
 * Reading what `ExecSession`s give, and starting `ExecHandle`s in a {@linkcode FakeHost}.
 *
 * @module
 */
import type { OutputChannel } from "../../../src/agent/channels.ts";
import type { Connector } from "../../../src/agent/client.ts";
import { type ExecStart, programOf } from "../../../src/agent/exec_opening.ts";
import type { ExecSession } from "../../../src/agent/exec_session.ts";
import { ExecHandle } from "../../../src/sandbox/exec/exec_handle.ts";
import { type ExecRequest, OUTPUT_BYTES_MAX } from "../../../src/sandbox/exec/exec_options.ts";

/** Where a program that has no terminal writes. */
export function stdoutOf(session: ExecSession): OutputChannel {
  const stdout = session.outputs.get("stdout");
  if (stdout === undefined) throw new Error("the session has no standard output");
  return stdout;
}

export async function readText(channel: OutputChannel): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for (let data = await channel.next(); data !== undefined; data = await channel.next())
    text += decoder.decode(data, { stream: true });
  return text;
}

export async function countBytes(channel: OutputChannel): Promise<number> {
  let size = 0;
  for (let data = await channel.next(); data !== undefined; data = await channel.next()) size += data.length;
  return size;
}

/** What `ExecHandle.start()` wants, with defaults. */
export function request(start: ExecStart, more: Partial<ExecRequest> = {}): ExecRequest {
  return {
    start,
    label: programOf(start),
    input: undefined,
    timeoutMs: undefined,
    outputBytesMax: OUTPUT_BYTES_MAX,
    signal: undefined,
    startFailure: "reject",
    offline: undefined,
    ...more,
  };
}

/** Runs a program over a connection of its own. */
export async function run(
  host: Connector,
  start: ExecStart,
  more: Partial<ExecRequest> = {},
): Promise<ExecHandle> {
  return await ExecHandle.start(host, request(start, more));
}
