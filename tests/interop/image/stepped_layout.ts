/** Builds an image with umoci in steps, each of which changes the result of the one before. @module */
import { join } from "node:path";
import { run } from "./tools.ts";

const STEPS = [
  "mkdir -p a/b d && echo one > a/b/x && echo two > a/y && ln a/y a/z && ln -s y a/l && echo k > d/keep",
  "rm -r a/b && echo more >> a/y && mkdir -p n/o && mknod n/o/zero c 1 5 && setfattr -n user.k -v v d/keep",
  "rm a/z && rm -r d && echo file > d && chmod 4711 a/y && chown 12:34 a && touch -d @86400 n",
];

/** Makes an OCI layout with the image `app` in `directory`; `more` are steps of the caller's. Returns the layout. */
export async function makeSteppedLayout(directory: string, more: readonly string[] = []): Promise<string> {
  const layout = join(directory, "stepped");
  const bundle = join(directory, "step");
  const image = ["--image", `${layout}:app`];
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", ...image]);
  for (const step of [...STEPS, ...more]) {
    await run("umoci", ["unpack", ...image, bundle]);
    await run("sh", ["-ec", step], join(bundle, "rootfs"));
    await run("umoci", ["repack", ...image, bundle]);
    await run("rm", ["-rf", bundle]);
  }
  return layout;
}
