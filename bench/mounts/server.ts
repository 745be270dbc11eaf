/**
 * The server alone: requests as a guest's kernel sends them, made in memory, through `MountServer` and its provider, with no VM
 * and no stream. What it costs to answer is what this process adds to every call of a guest's program.
 *
 * @module
 */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { FRAME_PAYLOAD_BYTES_MAX } from "../../src/agent/protocol.ts";
import { KiB, MiB } from "../../src/base/bytes.ts";
import { Files } from "../../src/ffi/files.ts";
import { Opcode, ROOT_ID } from "../../src/mount/fuse/constants.ts";
import { OwnerMap } from "../../src/mount/owner_map.ts";
import type { FileSystemProvider } from "../../src/mount/provider.ts";
import { DirectoryProvider } from "../../src/mount/providers/directory_provider.ts";
import { MemoryFileSystem } from "../../src/mount/providers/memory_file_system.ts";
import { bodyOf, FuseClient, requestOf } from "../../tests/support/mount/fuse_requests.ts";
import type { Figure } from "../support/figures.ts";

const REQUESTS_PER_SECOND_MIN = 60_000;
const MB_PER_SECOND_MIN = 600;

const FILES = 1000;
/** Directories above the files. */
const ABOVE = ["project", "src"];
/** Times that all files are asked for in a round. */
const REPEATS = 50;
const LARGE_BYTES = 256 * MiB;
const READ_WRITE = 2;

/** What the kernel asks for at a time: its read-ahead as it is, and as the agent sets it. */
const TRANSFERS = [128 * KiB, 1 * MiB];

interface Subject {
  readonly name: string;
  readonly provider: FileSystemProvider;
  readonly owners: OwnerMap | undefined;
}

/** @param directory An empty directory in memory. */
export async function measureServer(directory: string, rounds: number): Promise<Figure[]> {
  const paths = makeTree(directory);
  const memory = new MemoryFileSystem();
  for (const path of paths) memory.writeFile(path.slice(directory.length), "content");
  const { uid, gid } = statSync(directory);
  const subjects: Subject[] = [
    {
      name: "DirectoryProvider",
      provider: DirectoryProvider.open(await Files.load(), directory),
      owners: new OwnerMap({ uid, gid }, { uid: 0, gid: 0 }),
    },
    { name: "MemoryFileSystem", provider: memory, owners: undefined },
  ];
  const stats = bestOf(
    rounds,
    () => FILES * REPEATS,
    () => {
      for (let repeat = 0; repeat < REPEATS; repeat++) for (const path of paths) statSync(path);
    },
  );
  const figures: Figure[] = [
    { name: "statSync() of node:fs, for comparison", value: stats * 1e3, unit: "/s" },
    ...plainTransfers(join(directory, "plain"), rounds),
  ];
  for (const subject of subjects) {
    figures.push(...(await measureSmall(subject, paths, rounds)));
    figures.push(...(await measureTransfers(subject, rounds)));
  }
  return figures;
}

function makeTree(directory: string): string[] {
  const top = join(directory, ...ABOVE);
  mkdirSync(top, { recursive: true });
  const paths = Array.from({ length: FILES }, (_, number) => join(top, `file${number}.txt`));
  for (const path of paths) writeFileSync(path, "content");
  return paths;
}

/** The most work per millisecond in a round. */
function bestOf(rounds: number, amount: () => number, work: () => void): number {
  let best = 0;
  for (let round = 0; round <= rounds; round++) {
    const begin = performance.now();
    work();
    if (round > 0) best = Math.max(best, amount() / (performance.now() - begin)); // the first one warms up
  }
  return best;
}

async function measureSmall(
  { name, provider, owners }: Subject,
  paths: readonly string[],
  rounds: number,
): Promise<Figure[]> {
  const client = new FuseClient(provider, { owners });
  let directory: bigint = ROOT_ID;
  for (const above of ABOVE) directory = await client.lookup(directory, above);
  const names = paths.map((path) => path.slice(path.lastIndexOf("/") + 1));
  const nodes: bigint[] = [];
  for (const entry of names) nodes.push(await client.lookup(directory, entry));
  const kinds = {
    lookups: names.map((entry, index) => requestOf(Opcode.lookup, BigInt(index), directory, bodyOf(entry))),
    getattrs: nodes.map((node, index) => requestOf(Opcode.getattr, BigInt(index), node, bodyOf(0, 0, 0n))),
  };
  const figures = Object.entries(kinds).map(([kind, requests]): Figure => {
    const before = client.replyCount;
    let asked = 0;
    const speed = bestOf(
      rounds,
      () => FILES * REPEATS,
      () => {
        for (let repeat = 0; repeat < REPEATS; repeat++)
          for (const request of requests) client.server.feed(request);
        asked += FILES * REPEATS;
      },
    );
    if (client.replyCount - before !== asked) throw new Error("replies are missing");
    if ([...client.replies.values()].some(({ errno }) => errno !== 0)) throw new Error("requests failed");
    return {
      name: `${kind}, ${name} (no VM)`,
      value: speed * 1e3,
      unit: "/s",
      limit: { kind: "at least", value: REQUESTS_PER_SECOND_MIN },
    };
  });
  return figures;
}

async function measureTransfers({ name, provider, owners }: Subject, rounds: number): Promise<Figure[]> {
  const client = new FuseClient(provider, { owners });
  const { body } = await client.ask(Opcode.create, ROOT_ID, READ_WRITE, 0o644, 0, 0, "large");
  const [node, handle] = [body.getBigUint64(0, true), body.getBigUint64(128, true)];
  const figures: Figure[] = [];
  for (const bytes of [...TRANSFERS].reverse()) {
    const offsets = Array.from({ length: LARGE_BYTES / bytes }, (_, index) => BigInt(index * bytes));
    const data = new Uint8Array(bytes).fill(7);
    const head = (offset: bigint) => bodyOf(handle, offset, bytes, 0, 0n, 0, 0);
    const writes = offsets.map((offset) => requestOf(Opcode.write, offset, node, head(offset)));
    const reads = offsets.map((offset) => requestOf(Opcode.read, offset, node, head(offset)));
    for (const request of writes) new DataView(request.buffer).setUint32(0, request.length + bytes, true);
    const feedWrite = (request: Uint8Array) => {
      client.server.feed(request);
      for (let sent = 0; sent < bytes; sent += FRAME_PAYLOAD_BYTES_MAX)
        client.server.feed(data.subarray(sent, sent + FRAME_PAYLOAD_BYTES_MAX));
    };
    const feed = (request: Uint8Array) => client.server.feed(request);
    const kinds = [
      ["write", () => writes.forEach(feedWrite)],
      ["read", () => reads.forEach(feed)],
    ] as const;
    for (const [kind, work] of kinds) {
      const speed = bestOf(rounds, () => LARGE_BYTES, work);
      const last = client.replies.get(BigInt(LARGE_BYTES - bytes));
      if (last?.errno !== 0 || (kind === "read" && last.body.byteLength !== bytes))
        throw new Error("a request failed");
      figures.push({
        name: `sequential ${kind} by ${bytes / KiB} KiB, ${name} (no VM)`,
        value: speed / 1e3,
        unit: "MB/s",
        limit: { kind: "at least", value: MB_PER_SECOND_MIN },
      });
    }
  }
  await client.server.close();
  return figures;
}

/** The same transfers by `node:fs`. */
function plainTransfers(path: string, rounds: number): Figure[] {
  const room = new Uint8Array(MiB);
  const fd = openSync(path, "w+");
  const each = (call: (offset: number) => number) => () => {
    for (let offset = 0; offset < LARGE_BYTES; offset += room.length) call(offset);
  };
  const amount = () => LARGE_BYTES;
  const write = bestOf(
    rounds,
    amount,
    each((offset) => writeSync(fd, room, 0, room.length, offset)),
  );
  const read = bestOf(
    rounds,
    amount,
    each((offset) => readSync(fd, room, 0, room.length, offset)),
  );
  if (fstatSync(fd).size !== LARGE_BYTES) throw new Error("the file is not complete");
  closeSync(fd);
  return [
    { name: "writeSync() of node:fs, for comparison", value: write / 1e3, unit: "MB/s" },
    { name: "readSync() of node:fs, for comparison", value: read / 1e3, unit: "MB/s" },
  ];
}
