/** One connection of `msb mcp`: the protocol on standard input and output, until the client closes it. @module */
import { Readable, Writable } from "node:stream";
import { McpServer } from "@modelcontextprotocol/server";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import type { CliContext } from "../context.ts";
import { VERSION } from "../version.ts";
import { FILE_TOOLS } from "./file_tools.ts";
import { McpSandboxes } from "./mcp_sandboxes.ts";
import { PROGRAM_TOOLS } from "./program_tools.ts";
import { SANDBOX_TOOLS } from "./sandbox_tools.ts";
import { type McpSettings, MESSAGE_BYTES_MAX } from "./settings.ts";

const INSTRUCTIONS =
  "Each sandbox is a virtual machine of its own. Create one, run commands or code in it, and read and write its files. A sandbox that has " +
  "stopped is started by the next tool that uses it; its disk stays, its programs and sessions do not. Answers are cut at a limit: fields " +
  "whose name begins with `omitted` or ends with `OmittedBytes` say how much is left out.";

/** A model that knows this does not try to install packages, and can tell its user what to change. */
const NETWORK_INSTRUCTIONS: Readonly<Record<McpSettings["network"], string>> = {
  none: " New sandboxes have no network: nothing can be downloaded in them unless the user starts `msb mcp` with `--network user`.",
  user: " New sandboxes reach public addresses, and no private ones.",
};

/** Serves until standard input ends, or a signal comes; then ends what the connection has begun. */
export async function serveMcp(cli: CliContext, settings: McpSettings): Promise<void> {
  const sandboxes = new McpSandboxes(settings);
  const closed = Promise.withResolvers<void>();
  const input = cli.stdin instanceof Readable ? cli.stdin : new Readable().wrap(cli.stdin);
  const output = new Writable({
    write: (chunk: Uint8Array, _, done) => void cli.stdout.write(chunk).then(() => done(), done),
  });
  for (const event of ["end", "close", "error"]) input.once(event, () => closed.resolve());
  const transport = new StdioServerTransport(input, output, { maxBufferSize: MESSAGE_BYTES_MAX });
  const handle = serveStdio(() => mcpServer(sandboxes, settings), {
    transport,
    onerror: (error) => void cli.stderr.line(`msb mcp: ${error.message}`).catch(() => {}), // it has no reader
  });
  const stop = () => closed.resolve();
  cli.signal.addEventListener("abort", stop, { once: true });
  if (cli.signal.aborted) stop();
  await closed.promise;
  await handle.close();
  for (const error of await sandboxes.end()) await cli.fail(error);
}

function mcpServer(sandboxes: McpSandboxes, settings: McpSettings): McpServer {
  const server = new McpServer(
    { name: "microsandbox", version: VERSION },
    { capabilities: { tools: {} }, instructions: INSTRUCTIONS + NETWORK_INSTRUCTIONS[settings.network] },
  );
  for (const tool of [...SANDBOX_TOOLS, ...PROGRAM_TOOLS, ...FILE_TOOLS])
    tool.register(server, { sandboxes, settings });
  return server;
}
