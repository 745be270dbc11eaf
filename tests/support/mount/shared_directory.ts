/** A directory that is shared, beside one that must never be reached. @module */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Files } from "../../../src/ffi/files.ts";
import type { FileSystemProvider, ProviderOpenOptions } from "../../../src/mount/provider.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { temporaryDirectory } from "../harness.ts";

export const SECRET = "the secret of the host";

/** How paths are kept below the root: by openat2(2), or as on a kernel that lacks it. */
export const WAYS: readonly (readonly [string, boolean])[] = [
  ["by openat2", true],
  ["name by name", false],
];

const loaded = new Map<boolean, Promise<Files>>();

/** Loads once for all tests: on Deno it takes long. */
export function filesBy(hasOpenat2: boolean): Promise<Files> {
  const files = loaded.get(hasOpenat2) ?? Files.load(hasOpenat2);
  loaded.set(hasOpenat2, files);
  return files;
}

const OPEN: ProviderOpenOptions = {
  read: true,
  write: false,
  append: false,
  truncate: false,
  create: false,
  exclusive: false,
  mode: 0o644,
};

/** See the module. `inside` is served; `outside` lies beside it. */
export class SharedDirectory implements Disposable {
  readonly inside: string;
  readonly outside: string;
  readonly provider: DirectoryProvider;
  readonly #directory = temporaryDirectory();

  private constructor(files: Files) {
    this.inside = join(this.#directory.path, "inside");
    this.outside = join(this.#directory.path, "outside");
    mkdirSync(join(this.inside, "real"), { recursive: true });
    mkdirSync(this.outside);
    writeFileSync(join(this.outside, "secret"), SECRET, { mode: 0o640 });
    writeFileSync(join(this.inside, "real", "secret"), "of the guest");
    this.provider = DirectoryProvider.open(files, this.inside);
  }

  static async open(hasOpenat2 = true): Promise<SharedDirectory> {
    return new SharedDirectory(await filesBy(hasOpenat2));
  }

  /** Makes links that lead out, and gives the paths through them that name the secret, or where it lies. */
  link(): readonly string[] {
    const { inside, outside } = this;
    const links: Readonly<Record<string, string>> = {
      absolute: outside,
      relative: "../outside",
      "real/deep": "../../outside",
      toSecret: join(outside, "secret"),
      viaLink: "absolute",
      "real/up": "..",
      root: "/",
      magic: "/proc/self/root",
    };
    for (const [path, target] of Object.entries(links)) symlinkSync(target, join(inside, path));
    return [
      "/toSecret",
      ...["absolute", "relative", "real/deep", "viaLink"].flatMap((name) => [`/${name}`, `/${name}/secret`]),
      "/real/up/toSecret",
      `/root${outside}/secret`,
      `/magic${outside}/secret`,
    ];
  }

  /** All that can be known of what lies outside. */
  outsideState(): string {
    const all = [".", ...readdirSync(this.outside).toSorted()].map((name) => {
      const { mode, uid, gid, size, ino, nlink, mtimeNs } = lstatSync(join(this.outside, name), {
        bigint: true,
      });
      return [name, mode, uid, gid, size, ino, nlink, mtimeNs].join(" ");
    });
    return [...all, readFileSync(join(this.outside, "secret"), "utf8")].join("\n");
  }

  [Symbol.dispose](): void {
    this.provider.close();
    this.#directory[Symbol.dispose]();
  }
}

/** Reads a whole file through a provider. */
export function readText(provider: DirectoryProvider, path: string): string {
  const file = provider.open(path, OPEN);
  try {
    return new TextDecoder().decode(file.read(0, 65_536) as Uint8Array);
  } finally {
    void file.close();
  }
}

/** Writes a file through a provider, which makes it. */
export function writeText(provider: DirectoryProvider, path: string, text: string, mode = 0o644): void {
  const file = provider.open(path, { ...OPEN, write: true, create: true, truncate: true, mode });
  try {
    file.write?.(0, new TextEncoder().encode(text));
  } finally {
    void file.close();
  }
}

/** Each thing that a guest can ask for at a path, by name; what they make, they make below `fresh`. */
export function attempts(
  provider: DirectoryProvider & Required<Pick<FileSystemProvider, "setAttributes">>,
  path: string,
  fresh: string,
): Readonly<Record<string, () => unknown>> {
  return {
    attributes: () => provider.attributes(path),
    list: () => provider.list(path),
    read: () => readText(provider, path),
    write: () => writeText(provider, path, "written by the guest"),
    truncate: () => provider.setAttributes(path, { size: 0 }),
    chmod: () => provider.setAttributes(path, { mode: 0o777 }),
    chown: () => provider.setAttributes(path, { uid: 12345, gid: 12345 }),
    times: () => provider.setAttributes(path, { accessedNs: 1n, modifiedNs: 1n }),
    readLink: () => provider.readLink(path),
    makeDirectory: () => provider.makeDirectory(`${path}/made`, 0o755),
    makeNode: () => provider.makeNode(`${path}/fifo`, "fifo", 0o644),
    makeSymlink: () => provider.makeSymlink(`${path}/link`, "x"),
    create: () => writeText(provider, `${path}/created`, "x"),
    linkOut: () => provider.makeLink(path, fresh),
    linkInto: () => provider.makeLink("/real/secret", `${path}/linked`),
    renameInto: () => provider.rename("/real/secret", `${path}/moved`, { exclusive: false, exchange: false }),
    exchange: () => provider.rename("/real/secret", path, { exclusive: false, exchange: true }),
    getExtended: () => provider.getExtended(path, "user.secret"),
    listExtended: () => provider.listExtended(path),
    setExtended: () => provider.setExtended(path, "user.new", new Uint8Array(1), "any"),
    removeExtended: () => provider.removeExtended(path, "user.secret"),
    renameOut: () => provider.rename(path, `${fresh}-moved`, { exclusive: false, exchange: false }),
    removeDirectory: () => provider.removeDirectory(path),
    removeFile: () => provider.removeFile(path),
  };
}
