/** What `msb mcp` lets a client do, and how much. @module */

/** Limits and defaults, from the flags. */
export interface McpSettings {
  /** Image of sandboxes that name none. If absent, each must name one. */
  readonly image: string | undefined;
  /** The only images that may be used, besides the default. If absent, all images of a registry. */
  readonly allowedImages: readonly string[] | undefined;
  /** Default memory of a sandbox, and the most that one may ask for. */
  readonly memoryMiB: number;
  /** Processors of each sandbox. */
  readonly cpus: number;
  readonly network: "none" | "user";
  readonly idleTimeoutMs: number;
  /** Most sandboxes with our label, whether they run or not. */
  readonly sandboxesMax: number;
  /** Limit of each text of an answer. */
  readonly outputBytesMax: number;
  /** Whether sandboxes that others have made may be used, too. */
  readonly all: boolean;
  /** What happens to the sandboxes of a connection when it ends. */
  readonly atEnd: "stop" | "remove" | "keep";
}

/** The label of sandboxes that were made here. */
export const MCP_LABEL = "microsandbox.mcp";
/** The most entries of a list that one answer has. */
export const ENTRIES_MAX = 1000;
/** How many bytes one message of a client may have: a file of 8 MiB fits, whatever is in it. */
export const MESSAGE_BYTES_MAX: number = 16 * 1024 * 1024;
