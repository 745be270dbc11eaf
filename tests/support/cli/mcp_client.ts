/** The official client of the protocol, in front of `msb mcp` in this process. @module */
import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { Interrupt } from "../../../src/cli/interrupt.ts";
import { main } from "../../../src/cli/main.ts";
import { Output } from "../../../src/cli/output.ts";
import { Warnings } from "../../../src/cli/warnings.ts";
import { MemoryStream } from "./cli.ts";

/** An answer of a tool. */
export interface ToolAnswer {
  readonly isError: boolean;
  /** What it says, from its text. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly data: any;
}

/** Calls a tool. The client itself holds what comes against the tool's schema. */
export async function callTool(
  client: Client,
  name: string,
  input: Record<string, unknown>,
): Promise<ToolAnswer> {
  const result = await client.callTool({ name, arguments: input });
  const [content] = result.content as readonly { readonly type: string; readonly text: string }[];
  assert.equal(content?.type, "text");
  const data = toData(content.text);
  if (result.isError !== true) assert.deepEqual(result["structuredContent"], data);
  return { isError: result.isError === true, data };
}

/** What a tool answers. Fails if that is an error. */
export async function useTool(client: Client, name: string, input: Record<string, unknown>) {
  const { isError, data } = await callTool(client, name, input);
  assert.equal(isError, false, JSON.stringify(data));
  return data;
}

/** Text that the package itself writes, about bad input, is not JSON. */
function toData(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Runs `body` with a client of `msb mcp` and these flags; returns its exit status once the client has closed. */
export async function withMcp(
  flags: readonly string[],
  body: (client: Client, signals: EventEmitter) => Promise<void>,
): Promise<{ readonly status: number; readonly stderr: string }> {
  const input = new PassThrough();
  const output = new PassThrough();
  const stderr = new MemoryStream();
  const errors = new Output(stderr);
  const signals = new EventEmitter();
  const served = main(["mcp", ...flags], {
    stdin: input,
    stdout: new Output(output),
    stderr: errors,
    interrupt: new Interrupt(signals, () => {}),
    warnings: new Warnings(errors),
  });
  const client = new Client({ name: "test", version: "1" });
  try {
    // This transport reads from the first and writes to the second, whichever side it is on.
    await client.connect(new StdioServerTransport(output, input));
    await body(client, signals);
  } finally {
    input.end();
  }
  return { status: await served, stderr: stderr.text };
}
