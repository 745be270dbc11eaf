/** `msb mcp`: sandboxes for agents, over the Model Context Protocol. @module */
import { Command, type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import type { CliContext } from "../context.ts";
import { collect, parseCount, parseDurationMs, parseSizeMiB } from "../parse.ts";

const KiB = 1024;
const MEMORY_MIB = 1024;
const IDLE_TIMEOUT_MS = 600_000;
const SANDBOXES_MAX = 8;
const OUTPUT_KIB = 64;
/** An answer is held in memory, several times. */
const OUTPUT_KIB_MAX = 16 * 1024;

export function mcpCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("mcp")
    .summary("serve sandboxes to an agent, over MCP on standard input and output")
    .description(
      "Speaks the Model Context Protocol on standard input and output, until the input ends. An agent can then make sandboxes, run programs " +
        "in them, and read and write their files. It sees sandboxes of `msb mcp` alone, and no files of this machine.",
    )
    .option("--image <image>", "image of sandboxes that name none")
    .option(
      "--allow-image <image>",
      "allow only this image and the one of --image; repeatable; default: any image of a registry",
      collect(String),
    )
    .addOption(
      new Option("-m, --memory <size>", "memory of a sandbox, and the most that one may ask for")
        .default(MEMORY_MIB, "1G")
        .argParser(parseSizeMiB),
    )
    .option("-c, --cpus <count>", "virtual processors of each sandbox", parseCount, 1)
    .addOption(
      new Option("--network <mode>", "network of each sandbox")
        .choices(["none", "user"] as const)
        .default("none" as const),
    )
    .option(
      "--max-sandboxes <count>",
      "how many there may be, stopped ones included",
      parseCount,
      SANDBOXES_MAX,
    )
    .addOption(
      new Option("--idle-timeout <time>", "stop a sandbox in which nothing has run for this time")
        .default(IDLE_TIMEOUT_MS, "10m")
        .argParser(parseDurationMs),
    )
    .option("--max-output <KiB>", "how much of a text one answer has, in KiB", parseOutputKiB, OUTPUT_KIB)
    .option("--all", "also use sandboxes that `msb mcp` has not made")
    .addOption(
      new Option("--at-end <what>", "what happens to its sandboxes when the connection ends")
        .choices(["stop", "remove", "keep"] as const)
        .default("stop" as const),
    )
    .action(async (flags) => {
      const { serveMcp } = await import("../mcp/serve.ts"); // nothing else needs the protocol's package
      await serveMcp(cli, {
        image: flags.image,
        allowedImages: flags.allowImage,
        memoryMiB: flags.memory,
        cpus: flags.cpus,
        network: flags.network,
        idleTimeoutMs: flags.idleTimeout,
        sandboxesMax: flags.maxSandboxes,
        outputBytesMax: flags.maxOutput * KiB,
        all: flags.all === true,
        atEnd: flags.atEnd,
      });
    });
}

function parseOutputKiB(text: string): number {
  const count = parseCount(text);
  if (count < 1 || count > OUTPUT_KIB_MAX)
    throw new InvalidArgumentError(`It must be from 1 to ${OUTPUT_KIB_MAX}.`);
  return count;
}
