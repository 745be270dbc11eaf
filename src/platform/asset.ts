/** Files that come with this package. @module */
import { readFile } from "node:fs/promises";
import type { Bytes } from "../base/bytes.ts";
import { IoError } from "../base/errors.ts";

/** The bytes of a packaged file, which lies beside the modules: on disk, or where a remote module was loaded from. */
export async function readAsset(url: URL): Promise<Bytes> {
  try {
    if (url.protocol === "file:") return new Uint8Array(await readFile(url));
    const response = await fetch(url);
    if (!response.ok) throw new Error(`status ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new IoError(`read ${url.href}`, url.href, error);
  }
}
