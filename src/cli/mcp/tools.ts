/** How a tool is defined, and what all of them are given. @module */
import type { CallToolResult, McpServer, ToolAnnotations } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { McpSandboxes } from "./mcp_sandboxes.ts";
import type { McpSettings } from "./settings.ts";
import { toldError } from "./tool_error.ts";

/** What tools work with. */
export interface ToolContext {
  readonly sandboxes: McpSandboxes;
  readonly settings: McpSettings;
}

/** A tool: its schemas are what clients are shown, and what is checked. */
export interface Tool<I extends z.ZodObject, O extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: ToolAnnotations;
  readonly input: I;
  readonly output: O;
  run(input: z.output<I>, context: ToolContext, signal: AbortSignal): Promise<z.input<O>>;
}

/** Keeps the types of a tool together. */
export function tool<I extends z.ZodObject, O extends z.ZodObject>(definition: Tool<I, O>) {
  return {
    name: definition.name,
    register(server: McpServer, context: ToolContext): void {
      const { name, title, description, annotations, input, output } = definition;
      server.registerTool(
        name,
        // The schema with `unknown` fields: the callback parses, so that its types are ours.
        {
          title,
          description,
          annotations,
          inputSchema: input as z.ZodObject,
          outputSchema: output as z.ZodObject,
        },
        async (given, { mcpReq }) => {
          try {
            const answer = await definition.run(input.parse(given) as z.output<I>, context, mcpReq.signal);
            return answered(answer);
          } catch (error) {
            return failed(error);
          }
        },
      );
    },
  };
}

/** The answer as data, and as text for clients that show only that. */
function answered(answer: object): CallToolResult {
  return {
    content: [{ type: "text", text: JSON.stringify(answer) }],
    structuredContent: answer as Record<string, unknown>,
  };
}

function failed(error: unknown): CallToolResult {
  return { isError: true, content: [{ type: "text", text: JSON.stringify({ error: toldError(error) }) }] };
}

/** Fields that several tools have. */
export const fields = {
  sandbox: z.string().min(1).describe("Name of the sandbox. One that has stopped is started again."),
  path: z.string().min(1).describe("Path in the sandbox; a relative one begins at its working directory."),
  timeoutMs: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional()
    .describe("Milliseconds until it is killed."),
  env: z.record(z.string(), z.string()).optional().describe("Environment variables to add."),
  cwd: z.string().startsWith("/").optional().describe("Working directory, an absolute path."),
  user: z.string().min(1).optional().describe("User to run as: name, uid, name:group or uid:gid."),
  omitted: z.int().min(0).describe("How many bytes are left out, beyond the limit of an answer."),
};

/** A tool that only looks. */
export const READS: ToolAnnotations = { readOnlyHint: true, openWorldHint: false };
/** A tool that changes a sandbox, and has a second effect when it is called twice. */
export const CHANGES: ToolAnnotations = { readOnlyHint: false, destructiveHint: true, openWorldHint: false };
/** A tool that adds something. */
export const ADDS: ToolAnnotations = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };
