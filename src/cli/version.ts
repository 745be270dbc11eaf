/** Which release this is, and what runs it. @module */

/** The version in `package.json`. Do not edit: `bun run version X.Y.Z` writes it. */
export const VERSION = "0.8.0";

/** `"msb 1.2.3 (bun 1.4.5, linux x64)"`. */
export function versionLine(): string {
  const { deno, bun, node } = process.versions;
  const runtime = deno !== undefined ? `deno ${deno}` : bun !== undefined ? `bun ${bun}` : `node ${node}`;
  return `msb ${VERSION} (${runtime}, ${process.platform} ${process.arch})`;
}
