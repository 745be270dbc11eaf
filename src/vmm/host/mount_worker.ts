/**
 * The Worker that serves directories of this machine to the guest. Calls into the file system wait here.
 *
 * @module
 */
import { AgentClient } from "../../agent/client.ts";
import { MountFailedError } from "../../agent/errors.ts";
import { messageOf } from "../../base/errors.ts";
import { FileLocks } from "../../ffi/file_locks.ts";
import { Files } from "../../ffi/files.ts";
import { Inotify } from "../../ffi/inotify.ts";
import { FileSystemError } from "../../mount/errno.ts";
import { OwnerMap } from "../../mount/owner_map.ts";
import { type DirectoryBounds, DirectoryProvider } from "../../mount/providers/directory_provider.ts";
import { OpenFiles } from "../../mount/providers/open_files.ts";
import { ServedMount } from "../../mount/serve.ts";
import { serveConnection } from "../../mount/serve_connection.ts";
import { descriptorLimit } from "../../platform/descriptor_limit.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import type { MountRequest } from "../host_protocol.ts";
import type { MountWorkerMessage, MountWorkerRequest } from "./mount_messages.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<MountWorkerRequest>) => void) | null;
  postMessage(message: MountWorkerMessage): void;
}
const scope = globalThis as unknown as WorkerScope;

/** Of all mounts: the other half is for this process itself. */
const openFiles = new OpenFiles(Math.floor(descriptorLimit() / 2));
const served = new Map<string, ServedMount>();
/** Where file systems in the guest's memory are, which need no server. */
const memory = new Set<string>();
/** Where disks of the VM are. */
const disks = new Set<string>();
/** Where a mount is being made. */
const opening = new Set<string>();
let connecting: Promise<AgentClient> | undefined;
let loading: Promise<Files> | undefined;

scope.onmessage = ({ data }) => {
  const { token } = data;
  handle(data).then(
    () => scope.postMessage({ type: "done", token }),
    (error: unknown) => scope.postMessage({ type: "failed", token, message: reasonOf(error) }),
  );
};

/** Without what the client's error says anyway. */
function reasonOf(error: unknown): string {
  return error instanceof MountFailedError ? error.reason : messageOf(error);
}

async function handle(request: MountWorkerRequest): Promise<void> {
  if (request.type === "unmount") return await unmount(request.target);
  if (request.type === "root") return await serveRoot(request);
  connecting ??= AgentClient.connect(request.socketPath);
  connecting.catch(() => {
    connecting = undefined; // the next mount tries again
  });
  await mount(await connecting, request.mount, request.home);
}

async function mount(client: AgentClient, request: MountRequest, home: string): Promise<void> {
  const { target } = request;
  for (const other of [...opening, ...served.keys(), ...memory, ...disks]) {
    if (other === target) throw new Error(`${target} is mounted already`);
    if (other.startsWith(`${target}/`)) throw new Error(`it would hide what is mounted at ${other}`);
  }
  opening.add(target);
  try {
    await open(client, request, home);
  } finally {
    opening.delete(target);
  }
}

async function open(
  client: AgentClient,
  { target, isReadonly, isNoExec, ...what }: MountRequest,
  home: string,
): Promise<void> {
  if ("memoryBytes" in what) {
    const session = client.openMount({ target, isReadonly, isNoExec, memoryBytes: what.memoryBytes });
    await session.started;
    memory.add(target);
    return;
  }
  if ("device" in what) {
    const session = client.openDiskMount({ target, isReadonly, isNoExec, ...what });
    await session.started;
    disks.add(target);
    return;
  }
  loading ??= Files.load();
  const files = await loading;
  const { isWatched, hasLocks } = what;
  const provider = openSource(files, what.source, {
    closed: home,
    inotify: isWatched ? await Inotify.load() : undefined,
    locks: hasLocks ? await FileLocks.load() : undefined,
  });
  const mount = orClose(provider, () => {
    const { uid, gid } = provider.attributes("/");
    const owners = new OwnerMap({ uid, gid }, what.owner);
    const session = client.openMount({
      target,
      isReadonly,
      isNoExec,
      isFile: provider.isFile,
      isWatched: isWatched || hasLocks,
    });
    return new ServedMount(target, session, provider, {
      isReadonly,
      owners,
      watch: isWatched,
      locks: hasLocks,
    });
  });
  served.set(target, mount);
  mount.ended.then(() => served.delete(target));
  await mount.mounted;
}

/** The directory that the guest's root is on. The engine connects once; what comes behind it is not served. */
async function serveRoot({
  source,
  listenPath,
  home,
}: Extract<MountWorkerRequest, { readonly type: "root" }>): Promise<void> {
  loading ??= Files.load();
  const provider = openSource(await loading, source, { showsSetId: true, closed: home });
  // If this process is root, files keep their owners. Otherwise its own files belong to the guest's root.
  const isRoot = process.getuid?.() === 0;
  const { uid, gid } = provider.attributes("/");
  const owners = isRoot ? undefined : new OwnerMap({ uid, gid }, { uid: 0, gid: 0 });
  const listener = await listenUnix(listenPath, (connection) => {
    listener.close();
    serveConnection(connection, provider, { isReadonly: true, owners });
  });
}

/** A directory that cannot be mounted is not kept open. */
function orClose<T>(provider: DirectoryProvider, use: () => T): T {
  try {
    return use();
  } catch (error) {
    provider.close();
    throw error;
  }
}

/** The path was resolved when the mount was asked for: what it has become since then, a guest may have made. */
function openSource(files: Files, source: string, calls: DirectoryBounds): DirectoryProvider {
  try {
    return DirectoryProvider.openReal(files, source, { openFiles, ...calls });
  } catch (error) {
    const code = error instanceof FileSystemError ? error.code : undefined;
    const problem =
      code === "ENOENT"
        ? "there is no such directory or file on this machine any more"
        : code === "ELOOP" || code === "ENOTDIR"
          ? "a symbolic link, or a file, has come to lie on the path"
          : messageOf(error);
    throw new Error(`${source}: ${problem}`, { cause: error });
  }
}

async function unmount(target: string): Promise<void> {
  const mount = served.get(target);
  if (memory.has(target)) throw new Error("a file system in memory stays until the sandbox stops");
  if (disks.has(target)) throw new Error("a disk stays until the sandbox stops");
  if (mount === undefined) throw new Error("nothing was mounted there");
  await mount.unmount();
}
