/**
 * Checks what a sandbox without an image begins with, and what it writes to.
 *
 * @module
 */
import { realpathSync, statSync } from "node:fs";
import type { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import { checkRootDisk, type RootDiskConfig, type rootDiskSchema } from "./root_disk.ts";

interface CheckedRoot {
  readonly rootDirectory?: string | undefined;
  readonly rootDisk?: z.output<typeof rootDiskSchema> | undefined;
  readonly memoryMiB: number;
}

/** What is stored of it. With a directory, that is what is shown as the image. */
export interface RootConfig {
  readonly rootDisk?: RootDiskConfig;
  readonly rootDirectory?: string;
  readonly image?: string;
}

/** What to store. @throws {InvalidConfigError} */
export function checkRoot({ rootDirectory, rootDisk, memoryMiB }: CheckedRoot): RootConfig {
  return {
    ...(rootDisk === undefined ? {} : { rootDisk: checkRootDisk(rootDisk, memoryMiB) }),
    ...(rootDirectory === undefined ? {} : directoryConfig(rootDirectory)),
  };
}

function directoryConfig(path: string): RootConfig {
  const refuse = (problem: string) => new InvalidConfigError([{ field: "rootDirectory", problem }]);
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) throw refuse(`there is no ${path} on this machine`);
  if (!status.isDirectory()) throw refuse(`${path} is not a directory`);
  const rootDirectory = realpathSync(path);
  return { rootDirectory, image: rootDirectory };
}
