/** `msb inspect`: all that is known of a sandbox. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxConfig } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatMiB } from "../format.ts";
import { formatPort, formatStatus } from "../sandbox_table.ts";
import { formatJson, formatPairs } from "../table.ts";

export function inspectCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("inspect")
    .description("show all that is known of a sandbox")
    .argument("<name>", "the sandbox")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (name, flags) => {
      const handle = await Sandbox.get(name);
      const network = await handle.network.info();
      const text = wantsJson(flags)
        ? formatJson(toJson(handle, network))
        : formatPairs(cli.stdout, toPairs(cli, handle, network));
      await cli.stdout.write(text);
    });
}

type Handle = Awaited<ReturnType<typeof Sandbox.get>>;
type Network = Awaited<ReturnType<Handle["network"]["info"]>>;

function toJson(handle: Handle, network: Network) {
  const { name, id, status, statusReason, labels, createdAt, updatedAt } = handle;
  return { name, id, status, statusReason, labels, createdAt, updatedAt, network, config: handle.config() };
}

function toPairs({ stdout }: CliContext, handle: Handle, network: Network) {
  const config = handle.config();
  const milliseconds = (limit: number | undefined) => (limit === undefined ? undefined : `${limit / 1000} s`);
  const list = (record: Readonly<Record<string, string>>) =>
    Object.entries(record)
      .map(([key, value]) => `${key}=${value}`)
      .join(" ") || undefined;
  return [
    ["name", handle.name],
    ["id", handle.id],
    ["status", handle.status, formatStatus(handle, stdout)],
    ["reason", handle.statusReason],
    ["image", config.image],
    ["cpus", config.cpus],
    ["memory", formatMiB(config.memoryMiB)],
    ["disk", rootDiskOf(config)],
    ["hostname", config.hostname],
    ["user", config.user ?? config.imageConfig.user],
    ["workdir", config.workdir ?? config.imageConfig.workingDir],
    ["entrypoint", (config.entrypoint ?? config.imageConfig.entrypoint)?.join(" ")],
    ["cmd", (config.cmd ?? config.imageConfig.cmd)?.join(" ")],
    ["env", list(config.env)],
    ["labels", list(handle.labels)],
    ["rlimits", config.rlimits.join(" ") || undefined],
    ["network", network.mode],
    ["address", network.ip],
    ["tap", network.tapName],
    ["ports", network.ports.map(formatPort).join(" ") || undefined],
    ["max duration", milliseconds(config.maxDurationMs)],
    ["idle timeout", milliseconds(config.idleTimeoutMs)],
    ["created", handle.createdAt.toISOString()],
    ["updated", handle.updatedAt.toISOString()],
  ] as const;
}

function rootDiskOf({ rootDisk, diskMiB }: SandboxConfig): string {
  if (rootDisk === undefined) return formatMiB(diskMiB);
  return rootDisk.kind === "tmpfs" ? `memory, ${formatMiB(rootDisk.sizeMiB)}` : rootDisk.source;
}
