/**
 * Calls a program's hooks before and after each operation of a file system.
 *
 * @module
 */
import { settled, then } from "../maybe_promise.ts";
import type { FileSystemProvider, MaybePromise, ProviderFile } from "../provider.ts";

type Method = Exclude<keyof FileSystemProvider, "watch" | "isWatched" | "close">;
type Call<T, K extends keyof T> = Extract<T[K], (...values: never[]) => unknown>;

type ProviderOperation = {
  [K in Method]: {
    /** The method that is called. */
    readonly kind: K;
    /** What it is about: its first argument, or `/` if it has none. */
    readonly path: string;
    /** All its arguments. */
    readonly arguments: Readonly<Parameters<Call<Required<FileSystemProvider>, K>>>;
  };
}[Method];

type FileOperation = {
  [K in keyof ProviderFile & string]-?: {
    /** The method of the open file that is called. */
    readonly kind: `file.${K}`;
    /** The path by which the file was opened. */
    readonly path: string;
    /** All its arguments. */
    readonly arguments: Readonly<Parameters<Call<Required<ProviderFile>, K>>>;
  };
}[keyof ProviderFile & string];

/**
 * One call of a {@linkcode FileSystemProvider}, e.g. `{ kind: "removeFile", path: "/a", arguments: ["/a"] }`, or of one of its
 * open files, e.g. `{ kind: "file.write", path: "/a", arguments: [0, bytes] }`.
 */
export type FileSystemOperation = ProviderOperation | FileOperation;

/** How an operation ended: with a value, or with what was thrown. */
export type FileSystemOutcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

/** What to call. Both may be async: the operation waits for them. */
export interface FileSystemHooks {
  /** Is called before each operation. What it throws is what the guest sees, and the operation is not done. */
  before?(operation: FileSystemOperation): MaybePromise<void>;
  /** Is called after each operation, and after one that was refused. What it throws is what the guest sees. */
  after?(operation: FileSystemOperation, outcome: FileSystemOutcome): MaybePromise<void>;
}

const METHODS = [
  ..."attributes list open readLink setAttributes makeDirectory makeNode makeSymlink makeLink".split(" "),
  ..."removeFile removeDirectory rename statistics getExtended listExtended setExtended".split(" "),
  "removeExtended",
] as readonly Method[];

/**
 * A file system that calls hooks around each operation of `provider`: to refuse some, to count, to log, or to do something once
 * a file was written.
 *
 * @example
 * ```ts no-vm
 * import { FileSystemError, MemoryFileSystem, withHooks } from "microsandbox";
 *
 * const files = withHooks(new MemoryFileSystem({ "keep.txt": "hello" }), {
 *   before(operation) {
 *     if (operation.kind === "removeFile" && operation.path === "/keep.txt") throw new FileSystemError("EACCES");
 *   },
 *   after: ({ kind, path }, { ok }) => console.log(kind, path, ok),
 * });
 * await Promise.try(() => files.removeFile?.("/keep.txt")).catch((error) => console.log(error.code)); // EACCES
 * ```
 */
export function withHooks(provider: FileSystemProvider, hooks: FileSystemHooks): FileSystemProvider {
  const hooked: Record<string, unknown> = {};
  for (const kind of METHODS) {
    const method = provider[kind] as ((...values: readonly unknown[]) => MaybePromise<unknown>) | undefined;
    if (method === undefined) continue;
    hooked[kind] = (...values: readonly unknown[]) => {
      const [first] = values;
      const path = typeof first === "string" ? first : "/";
      const operation = { kind, path, arguments: values } as unknown as FileSystemOperation;
      const opened = (file: ProviderFile) => hookedFile(file, path, hooks);
      const discard = (value: unknown) => (kind === "open" ? (value as ProviderFile).close() : undefined);
      const result = around(hooks, operation, () => method.apply(provider, [...values]), discard);
      return kind === "open" ? then(result as MaybePromise<ProviderFile>, opened) : result;
    };
  }
  if (provider.watch !== undefined) hooked["watch"] = provider.watch.bind(provider);
  if (provider.isWatched !== undefined) hooked["isWatched"] = provider.isWatched.bind(provider);
  if (provider.close !== undefined) hooked["close"] = provider.close.bind(provider);
  return hooked as unknown as FileSystemProvider;
}

function hookedFile(file: ProviderFile, path: string, hooks: FileSystemHooks): ProviderFile {
  const hooked: Record<string, unknown> = {};
  for (const name of ["read", "write", "attributes", "setAttributes", "sync", "allocate", "seek"] as const) {
    const method = file[name] as ((...values: readonly unknown[]) => MaybePromise<unknown>) | undefined;
    if (method === undefined) continue;
    hooked[name] = (...values: readonly unknown[]) => {
      const operation = { kind: `file.${name}`, path, arguments: values } as unknown as FileSystemOperation;
      return around(hooks, operation, () => method.apply(file, [...values]));
    };
  }
  // A file is closed even if a hook refuses it: the guest has given it up.
  hooked["close"] = () => {
    const operation = { kind: "file.close", path, arguments: [] } as const;
    const close = () => file.close();
    const refused = (error: unknown) =>
      then(close(), () => {
        throw error;
      });
    const call = () => settled(() => hooks.before?.(operation), close, refused);
    return finished(hooks, operation, call);
  };
  return hooked as unknown as ProviderFile;
}

/** @param discard takes back what the operation gave, if the hook after it refuses. */
function around(
  hooks: FileSystemHooks,
  operation: FileSystemOperation,
  call: () => MaybePromise<unknown>,
  discard: (value: unknown) => MaybePromise<void> = () => {},
): MaybePromise<unknown> {
  return finished(hooks, operation, () => then(hooks.before?.(operation), call), discard);
}

function finished(
  hooks: FileSystemHooks,
  operation: FileSystemOperation,
  call: () => MaybePromise<unknown>,
  discard: (value: unknown) => MaybePromise<void> = () => {},
): MaybePromise<unknown> {
  const done = (value: unknown) =>
    settled(
      () => hooks.after?.(operation, { ok: true, value }),
      () => value,
      (error) =>
        then(discard(value), () => {
          throw error;
        }),
    );
  const failed = (error: unknown) =>
    then(hooks.after?.(operation, { ok: false, error }), () => {
      throw error;
    });
  return settled(call, done, failed);
}
