/**
 * A root file system with this machine's git and tar, and the libraries that they need.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeRootfs } from "../../tests/support/vm/images.ts";

const PROGRAMS = ["git", "tar"];

/** Fills `directory`, which must not exist. Needs busybox-static, git, tar and ldd(1). Returns its path. */
export function makeGuestImage(directory: string): string {
  makeRootfs(directory);
  for (const program of PROGRAMS) {
    const path = execFileSync("which", [program], { encoding: "utf8" }).trim();
    const target = join(directory, "bin", program);
    rmSync(target, { force: true }); // the busybox applet of that name
    copyFileSync(path, target);
    const listed = execFileSync("ldd", [path], { encoding: "utf8" });
    for (const [library] of listed.matchAll(/\/\S+/g)) {
      mkdirSync(dirname(join(directory, library)), { recursive: true });
      copyFileSync(library, join(directory, library));
    }
  }
  return directory;
}
