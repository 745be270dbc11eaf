/**
 * Where samples run: a directory with the `./rootfs` that the README has the reader make, and a home whose image store
 * has `alpine`, so that nothing is pulled.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Image } from "../../mod.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { killProcessesOf, runRoot } from "../support/processes.ts";
import { makeRootfs } from "../support/vm/images.ts";

export interface SampleHome {
  readonly cwd: string;
  readonly home: string;
  /** Puts `alpine` into the store, if a sample before this one has removed it. */
  loadImage(): Promise<void>;
}

/** Runs `body` with a directory and a home for samples; ends what they left running, and removes both. */
export async function withSampleHome(body: (home: SampleHome) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory();
  const cwd = realpathSync(directory.path);
  const home = join(cwd, "home");
  mkdirSync(home, { mode: 0o700 });
  makeRootfs(join(cwd, "rootfs"));
  const archive = join(cwd, "alpine.tar");
  writeDockerArchive(join(cwd, "rootfs"), "alpine:latest", archive);
  const before = process.env["MSB_HOME"];
  process.env["MSB_HOME"] = home;
  try {
    await body({ cwd, home, loadImage: async () => void (await Image.load(archive)) });
  } finally {
    killProcessesOf(home);
    if (before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = before;
    rmSync(runRoot(home), { recursive: true, force: true });
  }
}

/** What `docker save` would write of an image of one layer. */
function writeDockerArchive(rootfs: string, tag: string, path: string): void {
  const work = `${path}.d`;
  mkdirSync(work);
  const layer = join(work, "layer.tar");
  execFileSync("tar", ["-C", rootfs, "--owner=0", "--group=0", "--numeric-owner", "-cf", layer, "."]);
  const diffId = `sha256:${createHash("sha256").update(readFileSync(layer)).digest("hex")}`;
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const config = {
    architecture,
    os: "linux",
    config: { Cmd: ["/bin/sh"], Env: ["PATH=/bin"] },
    rootfs: { type: "layers", diff_ids: [diffId] },
  };
  writeFileSync(join(work, "config.json"), JSON.stringify(config));
  const manifest = [{ Config: "config.json", RepoTags: [tag], Layers: ["layer.tar"] }];
  writeFileSync(join(work, "manifest.json"), JSON.stringify(manifest));
  execFileSync("tar", ["-C", work, "-cf", path, "manifest.json", "config.json", "layer.tar"]);
  rmSync(work, { recursive: true });
}
