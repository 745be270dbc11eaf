/** `msb volume …`: files that outlive sandboxes. @module */
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { Volume, type VolumeHandle } from "../../../mod.ts";
import { adopt, formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatAge, formatBytes } from "../format.ts";
import { collect, parsePair, parseSizeMiB } from "../parse.ts";
import { toRecord } from "../sandbox_flags.ts";
import { type Column, formatJson, formatPairs, formatTable } from "../table.ts";

const COLUMNS: readonly Column<VolumeHandle>[] = [
  { heading: "NAME", value: ({ name }) => name },
  { heading: "KIND", value: ({ kind }) => kind },
  {
    heading: "USED",
    value: ({ usedBytes }) => usedBytes,
    shown: ({ usedBytes }) => formatBytes(usedBytes),
    align: "right",
  },
  {
    heading: "SIZE",
    value: ({ capacityBytes }) => capacityBytes ?? "",
    shown: ({ capacityBytes }) => (capacityBytes === null ? "" : formatBytes(capacityBytes)),
    align: "right",
  },
  {
    heading: "CREATED",
    value: ({ createdAt }) => createdAt?.toISOString() ?? "",
    shown: ({ createdAt }) => (createdAt === null ? "" : formatAge(createdAt)),
  },
];

export function volumeCommand(cli: CliContext): CommandUnknownOpts {
  const command = new Command("volume").alias("vol").description("make, list and remove named volumes");
  return adopt(command, [
    createVolumeCommand(cli),
    listVolumesCommand(cli),
    inspectVolumeCommand(cli),
    removeVolumeCommand(cli),
  ]);
}

function createVolumeCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("create")
    .summary("make a volume")
    .description(
      "Makes a volume, and prints its name. `msb run -v NAME:/TARGET` mounts it, and makes it as a directory if it does not exist.",
    )
    .argument("<name>", "name of the volume")
    .addOption(
      new Option(
        "--kind <kind>",
        "a directory, or a disk of a fixed size; --size alone means a disk",
      ).choices(["directory", "disk"] as const),
    )
    .option("--size <size>", "size of a disk, e.g. 512M or 8G", parseSizeMiB)
    .option("--label <KEY=VALUE>", "label; repeatable", collect(parsePair))
    .action(async (name, { kind, size, label }) => {
      const volume = await Volume.create({
        name,
        kind: kind ?? (size === undefined ? undefined : "disk"),
        sizeMiB: size,
        labels: toRecord(label),
      });
      await cli.stdout.line(volume.name);
    });
}

function listVolumesCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("list")
    .alias("ls")
    .description("list the volumes")
    .option("--label <KEY=VALUE>", "only those that have this label; repeatable", collect(parsePair))
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only names")
    .action(async ({ label, quiet, ...flags }) => {
      const volumes = await Volume.list({ labels: toRecord(label) });
      const { stdout } = cli;
      if (wantsJson(flags)) await stdout.write(formatJson(volumes.map(toJson)));
      else if (quiet === true) await stdout.write(volumes.map(({ name }) => `${name}\n`).join(""));
      else await stdout.write(formatTable(stdout, COLUMNS, volumes, "No volumes."));
    });
}

function inspectVolumeCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("inspect")
    .description("show all that is known of a volume")
    .argument("<name>", "the volume")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (name, flags) => {
      const volume = await Volume.get(name);
      await cli.stdout.write(
        wantsJson(flags) ? formatJson(toJson(volume)) : formatPairs(cli.stdout, toPairs(volume)),
      );
    });
}

function removeVolumeCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("remove")
    .alias("rm")
    .description("remove volumes with all that they hold")
    .argument("<names...>", "the volumes")
    .option("-q, --quiet", "do not print the names")
    .action((names, flags) => cli.forEach(names, flags, (name) => Volume.remove(name)));
}

/** Labels as an object, as all other commands have them. */
function toJson(volume: VolumeHandle) {
  return { ...volume, labels: Object.fromEntries(volume.labels) };
}

function toPairs(volume: VolumeHandle) {
  const labels = volume.labels.map(([key, value]) => `${key}=${value}`);
  return [
    ["name", volume.name],
    ["id", volume.id],
    ["kind", volume.kind],
    ["used", formatBytes(volume.usedBytes)],
    ["size", volume.capacityBytes === null ? undefined : formatBytes(volume.capacityBytes)],
    ["format", volume.diskFormat ?? undefined],
    ["file system", volume.diskFstype ?? undefined],
    ["labels", labels.join(" ") || undefined],
    ["path", volume.path],
    ["created", volume.createdAt?.toISOString()],
  ] as const;
}
