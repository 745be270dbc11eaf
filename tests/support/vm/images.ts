/**
 * Root file systems for tests: a static busybox with two users, made in a directory of the test's own.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const BUSYBOX = "/bin/busybox";

/** Why no image can be made here; `undefined` where one can. */
export const imageProblem: string | undefined = existsSync(BUSYBOX)
  ? undefined
  : `${BUSYBOX} is missing: apt-get install busybox-static`;

/** The user beside root that the images have. */
export const TEST_USER = { name: "tester", uid: 1000, gid: 1000, home: "/home/tester" } as const;

/** Fills `directory`, which must not exist, with a root file system. Returns its path. */
export function makeRootfs(directory: string): string {
  for (const name of ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  mkdirSync(join(directory, TEST_USER.home), { recursive: true });
  chmodSync(join(directory, "tmp"), 0o1777);
  // Whoever runs the tests owns the files, so the second user gets a home that anyone may write to.
  chmodSync(join(directory, TEST_USER.home), 0o777);
  copyFileSync(BUSYBOX, join(directory, "bin", "busybox"));
  chmodSync(join(directory, "bin", "busybox"), 0o755);
  for (const applet of applets()) symlinkSync("busybox", join(directory, "bin", applet));
  const { name, uid, gid, home } = TEST_USER;
  const etc = (file: string, text: string) => writeFileSync(join(directory, "etc", file), text);
  etc("passwd", `root:x:0:0:root:/root:/bin/sh\n${name}:x:${uid}:${gid}::${home}:/bin/sh\n`);
  etc("group", `root:x:0:\nextra:x:2000:${name}\n${name}:x:${gid}:\n`);
  return directory;
}

function applets(): string[] {
  const listed = execFileSync(BUSYBOX, ["--list"], { encoding: "utf8" }).split("\n");
  return listed.filter((applet) => applet !== "" && applet !== "busybox" && applet !== "linuxrc");
}
