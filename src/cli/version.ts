/** Which release this is, and what runs it. @module */

/** The same as in `package.json`, which not every way of installing brings along. */
export const VERSION = "0.1.0";

/** `"msb 0.1.0 (bun 1.4.5, linux x64)"`. */
export function versionLine(): string {
  const { deno, bun, node } = process.versions;
  const runtime = deno !== undefined ? `deno ${deno}` : bun !== undefined ? `bun ${bun}` : `node ${node}`;
  return `msb ${VERSION} (${runtime}, ${process.platform} ${process.arch})`;
}
