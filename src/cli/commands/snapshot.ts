/** `msb snapshot …`: disks of sandboxes, kept under names. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Snapshot } from "../../../mod.ts";
import { adopt, formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatAge, formatBytes, shortDigest } from "../format.ts";
import { collect, parsePair } from "../parse.ts";
import { showProgress } from "../progress.ts";
import { toRecord } from "../sandbox_flags.ts";
import { type Column, formatJson, formatPairs, formatTable } from "../table.ts";

const COLUMNS: readonly Column<Snapshot>[] = [
  { heading: "NAME", value: ({ name }) => name },
  { heading: "SANDBOX", value: ({ sourceSandbox }) => sourceSandbox },
  { heading: "IMAGE", value: ({ imageRef }) => imageRef },
  {
    heading: "DISK",
    value: ({ sizeBytes }) => sizeBytes,
    shown: ({ sizeBytes }) => formatBytes(sizeBytes),
    align: "right",
  },
  { heading: "DIGEST", value: ({ digest }) => digest, shown: ({ digest }) => shortDigest(digest) },
  {
    heading: "CREATED",
    value: ({ createdAt }) => createdAt.toISOString(),
    shown: ({ createdAt }) => formatAge(createdAt),
  },
];

export function snapshotCommand(cli: CliContext): CommandUnknownOpts {
  const command = new Command("snapshot")
    .alias("snap")
    .description("take, list and remove snapshots of disks");
  return adopt(command, [
    createSnapshotCommand(cli),
    listSnapshotsCommand(cli),
    inspectSnapshotCommand(cli),
    verifySnapshotCommand(cli),
    saveSnapshotCommand(cli),
    loadSnapshotCommand(cli),
    removeSnapshotCommand(cli),
  ]);
}

function createSnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("create")
    .summary("take a snapshot of a sandbox's disk")
    .description(
      "Takes a snapshot of a sandbox's disk, whether it runs or not, and prints its name. `msb restore` makes sandboxes of it.",
    )
    .argument("[name]", "name of the snapshot; without, the sandbox's with the time")
    .requiredOption("--from-sandbox <sandbox>", "whose disk")
    .option("--label <KEY=VALUE>", "label; repeatable", collect(parsePair))
    .option("-q, --quiet", "no progress")
    .action(async (name, { fromSandbox, label, quiet }) => {
      const stamp = new Date().toISOString().replaceAll(/[-:]|\..*/g, "");
      const snapshot = await withProgress(cli, quiet, "Copying", (onProgress) =>
        Snapshot.create({
          name: name ?? `${fromSandbox}-${stamp}`,
          from: fromSandbox,
          labels: toRecord(label),
          signal: cli.signal,
          onProgress,
        }),
      );
      await cli.stdout.line(snapshot.name);
    });
}

function listSnapshotsCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("list")
    .alias("ls")
    .description("list the snapshots")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only names")
    .action(async (flags) => {
      const snapshots = await Snapshot.list();
      const { stdout } = cli;
      if (wantsJson(flags)) await stdout.write(formatJson(snapshots));
      else if (flags.quiet === true) await stdout.write(snapshots.map(({ name }) => `${name}\n`).join(""));
      else await stdout.write(formatTable(stdout, COLUMNS, snapshots, "No snapshots."));
    });
}

function inspectSnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("inspect")
    .description("show all that is known of a snapshot")
    .argument("<name>", "the snapshot")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (name, flags) => {
      const snapshot = await Snapshot.get(name);
      await cli.stdout.write(
        wantsJson(flags) ? formatJson(snapshot) : formatPairs(cli.stdout, toPairs(snapshot)),
      );
    });
}

function verifySnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("verify")
    .description("read the disks of snapshots and see that they are what they were")
    .argument("<names...>", "the snapshots")
    .option("-q, --quiet", "do not print the names")
    .action((names, flags) =>
      cli.forEach(names, flags, async (name) => {
        await (await Snapshot.get(name)).verify({ signal: cli.signal });
      }),
    );
}

function saveSnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("save")
    .description("write a snapshot to an archive")
    .argument("<name>", "the snapshot")
    .argument("<path>", "the file to write; .msb is usual")
    .option("--plain-tar", "do not compress it")
    .option("-q, --quiet", "no progress")
    .action((name, path, { plainTar, quiet }) =>
      withProgress(cli, quiet, "Saving", (onProgress) =>
        Snapshot.save(name, path, { plainTar, signal: cli.signal, onProgress }),
      ),
    );
}

function loadSnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("load")
    .description("take a snapshot out of an archive, and print its name")
    .argument("<path>", "the archive")
    .action(async (path) => {
      await cli.stdout.line((await Snapshot.load(path, { signal: cli.signal })).name);
    });
}

function removeSnapshotCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("remove")
    .alias("rm")
    .description("remove snapshots; sandboxes that were made from them stay")
    .argument("<names...>", "the snapshots")
    .option("-q, --quiet", "do not print the names")
    .action((names, flags) => cli.forEach(names, flags, (name) => Snapshot.remove(name)));
}

/** Runs `work` with a bar for its bytes, which is gone when it is done. */
async function withProgress<T>(
  cli: CliContext,
  quiet: true | undefined,
  label: string,
  work: (
    onProgress: (progress: { readonly doneBytes: number; readonly totalBytes: number }) => void,
  ) => Promise<T>,
): Promise<T> {
  using progress = showProgress(cli.stderr, { quiet });
  return await work((done) => progress.disk(label, done));
}

function toPairs(snapshot: Snapshot) {
  const labels = Object.entries(snapshot.labels).map(([key, value]) => `${key}=${value}`);
  return [
    ["name", snapshot.name],
    ["digest", snapshot.digest],
    ["sandbox", snapshot.sourceSandbox],
    ["image", snapshot.imageRef],
    ["disk", formatBytes(snapshot.sizeBytes)],
    ["parent", snapshot.parent ?? undefined],
    ["labels", labels.join(" ") || undefined],
    ["path", snapshot.path],
    ["created", snapshot.createdAt.toISOString()],
  ] as const;
}
