/** `msb image …`: the images of this home. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Image, type ImageDetail, type ImageHandle } from "../../../mod.ts";
import { adopt, formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatAge, formatBytes, shortDigest } from "../format.ts";
import { type Column, formatJson, formatPairs, formatTable } from "../table.ts";
import { loadCommand, saveCommand } from "./archive.ts";
import { pullCommand } from "./pull.ts";

const COLUMNS: readonly Column<ImageHandle>[] = [
  {
    heading: "REFERENCE",
    value: ({ reference }) => reference,
    // An image of a directory has no name: its path says more than its digest, which has its own column.
    shown: ({ reference, digest, localPath }) =>
      reference === digest ? (localPath ?? shortDigest(reference)) : reference,
  },
  { heading: "DIGEST", value: ({ digest }) => digest, shown: ({ digest }) => shortDigest(digest) },
  { heading: "PLATFORM", value: ({ os, architecture }) => `${os}/${architecture}` },
  {
    heading: "SIZE",
    value: ({ sizeBytes }) => sizeBytes,
    shown: ({ sizeBytes }) => formatBytes(sizeBytes),
    align: "right",
  },
  {
    heading: "LAST USED",
    value: ({ lastUsedAt }) => lastUsedAt.toISOString(),
    shown: ({ lastUsedAt }) => formatAge(lastUsedAt),
  },
];

export function imageCommand(cli: CliContext): CommandUnknownOpts {
  const command = new Command("image").alias("images").description("list, fetch and remove images");
  return adopt(
    command,
    [
      listImagesCommand(cli),
      inspectImageCommand(cli),
      pullCommand(cli),
      loadCommand(cli),
      saveCommand(cli),
      removeImageCommand(cli),
      pruneImagesCommand(cli),
    ],
    { byDefault: "list" },
  );
}

function listImagesCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("list")
    .alias("ls")
    .description("list the images that are here")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-q, --quiet", "only references")
    .action(async (flags) => {
      const images = await Image.list({ signal: cli.signal });
      const { stdout } = cli;
      if (wantsJson(flags)) await stdout.write(formatJson(images));
      else if (flags.quiet === true)
        await stdout.write(images.map(({ reference }) => `${reference}\n`).join(""));
      else
        await stdout.write(formatTable(stdout, COLUMNS, images, "No images. `msb pull alpine` fetches one."));
    });
}

function inspectImageCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("inspect")
    .description("show all that is known of an image")
    .argument("<reference>", "the image")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .action(async (reference, flags) => {
      const detail = await Image.inspect(reference, { signal: cli.signal });
      await cli.stdout.write(
        wantsJson(flags) ? formatJson(detail) : formatPairs(cli.stdout, toPairs(detail)),
      );
    });
}

function removeImageCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("remove")
    .alias("rm")
    .description("remove images")
    .argument("<references...>", "the images")
    .option("-f, --force", "remove the name even if the image is used")
    .option("-q, --quiet", "do not print the names")
    .action((references, flags) =>
      cli.forEach(references, flags, (reference) =>
        Image.remove(reference, { force: flags.force, signal: cli.signal }),
      ),
    );
}

function pruneImagesCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("prune")
    .summary("remove unused images that have no name")
    .description(
      "Removes images that have no name and that no sandbox or snapshot uses, and what interrupted work left behind. With --all, removes every unused image.",
    )
    .option("-a, --all", "remove unused images that have a name, too")
    .addOption(formatOption())
    .option("--json", "the same as --format json")
    .option("-y, --yes", "accepted for scripts: prune never asks")
    .option("-q, --quiet", "do not print what was removed")
    .action(async (flags) => {
      const report = await Image.prune({ all: flags.all, signal: cli.signal });
      if (wantsJson(flags)) return await cli.stdout.write(formatJson(report));
      if (flags.quiet === true) return;
      for (const name of report.removed) await cli.stdout.line(name);
      if (cli.stdout.isTerminal) await cli.stdout.line(`${formatBytes(report.bytesReclaimed)} reclaimed`);
    });
}

function toPairs({ handle, config, layers }: ImageDetail) {
  const list = (words: readonly string[] | undefined) => words?.join(" ") || undefined;
  return [
    ["reference", handle.reference],
    ["digest", handle.digest],
    ["made from", handle.localPath],
    ["manifest", handle.manifestDigest],
    ["platform", `${handle.os}/${handle.architecture}`],
    ["size", formatBytes(handle.sizeBytes)],
    ["layers", layers.length],
    ["entrypoint", list(config.entrypoint)],
    ["cmd", list(config.cmd)],
    ["workdir", config.workingDir || undefined],
    ["user", config.user || undefined],
    ["env", list(config.env)],
    ["ports", list(config.exposedPorts)],
    ["volumes", list(config.volumes)],
    ["created", handle.createdAt.toISOString()],
    ["last used", handle.lastUsedAt.toISOString()],
  ] as const;
}
