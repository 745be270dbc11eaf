import { createHash } from "node:crypto";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { buildErofsImage } from "../image/build.ts";
// interim
export async function resolveImage(spec: string, o: { home: string; signal?: AbortSignal | undefined }) {
  const dir = join(o.home, "cache", "images");
  mkdirSync(dir, { recursive: true });
  const st = statSync(spec);
  const digest = createHash("sha256")
    .update(spec + st.mtimeMs)
    .digest("hex");
  const erofsPath = join(dir, `${digest}.erofs`);
  if (!existsSync(erofsPath))
    await buildErofsImage({
      source: st.isDirectory() ? { directory: spec } : { tar: spec },
      outputPath: erofsPath,
    });
  return { erofsPath, digest, config: {} };
}
