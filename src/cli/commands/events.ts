/** `msb events`: what happens to sandboxes. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxEvent } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import type { Output } from "../output.ts";
import { parseTime } from "../parse.ts";

export function eventsCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("events")
    .description("show what has happened to sandboxes")
    .argument("[name]", "only those of sandboxes of this name")
    .option("-f, --follow", "wait for more; without --since only what happens from now on")
    .option("--since <time>", "only from this time on: RFC 3339, or how long ago, e.g. 5m", (text) =>
      parseTime(text),
    )
    .addOption(formatOption())
    .option("--json", "one JSON object a line")
    .action(async (name, { follow, since, ...flags }) => {
      const format = wantsJson(flags)
        ? JSON.stringify
        : (event: SandboxEvent) => formatEvent(event, cli.stdout);
      for await (const event of Sandbox.events({ name, follow, since, signal: cli.signal }))
        await cli.stdout.line(format(event));
    });
}

/** `"2026-01-31T12:00:00.000Z  web  stopped  reason=requested"`. */
function formatEvent({ timestamp, name, action, attributes }: SandboxEvent, output: Output): string {
  const details = Object.entries(attributes).map(([key, value]) => `${key}=${formatValue(value)}`);
  const time = output.style("dim", timestamp.toISOString());
  return [time, name, output.style("bold", action), ...details].filter((word) => word !== "").join("  ");
}

function formatValue(value: unknown): string {
  return typeof value === "string" && /^[\w.:/-]+$/.test(value) ? value : JSON.stringify(value);
}
