/**
 * What opens a stream on which a process runs: a program's `execStart`, the `jobAttach` of one that runs already, the
 * `filesOpen` of a file session, the `mountOpen` of a mount, or the `networkOpen` of the guest's way out.
 *
 * @module
 */
import { type Bytes, decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { MicrosandboxError } from "../base/errors.ts";
import type { OutputName } from "./channels.ts";
import { encodeMessage, encodePayload } from "./codec.ts";
import {
  ExecFailedError,
  type ExecFailureKind,
  FileSessionFailedError,
  JobEndedError,
  MountFailedError,
} from "./errors.ts";
import { encodeFrame } from "./frame.ts";
import {
  EXEC_START_BYTES_MAX,
  ExecFlag,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  MESSAGES,
  MountFlag,
  type SentText,
} from "./protocol.ts";

/** What to run. */
export interface ExecStart {
  /** The program and its arguments. */
  readonly argv: readonly SentText[];
  /** `NAME=value`. */
  readonly env: readonly string[];
  /** `""`: the user's home directory. */
  readonly cwd: string;
  /** `""`: root. `name`, `uid`, `name:group` or `uid:gid`, resolved in the guest. */
  readonly user: string;
  /** `name=soft:hard`, e.g. `nofile=1024:4096`. */
  readonly rlimits: readonly string[];
  /** Size of the pseudo-terminal to run on; none without. */
  readonly terminal?: { readonly rows: number; readonly columns: number } | undefined;
  /** Whether stdin is a pipe; otherwise it is /dev/null. */
  readonly stdin: boolean;
  /** Whether it outlives the connection. */
  readonly detached?: boolean;
  /** Whether its stdin stays open then, for who adopts it. */
  readonly keepInput?: boolean;
  /** Whether it ends with the connection, and still does not keep this process alive by itself. */
  readonly unattended?: boolean;
}

/** A job that runs already, and goes on under a session of this client. */
export interface Adoption {
  /** The job's id. */
  readonly job: string;
  /** Its number in the log, which stays. */
  readonly logSessionId: number;
  /** What errors call it. */
  readonly command: string;
  readonly isTty: boolean;
}

/** Whose files, and where relative paths begin. */
export interface FilesOpen {
  /** `""`: root. `name`, `uid`, `name:group` or `uid:gid`, resolved in the guest. */
  readonly user: string;
  /** `""`: the user's home directory. */
  readonly cwd: string;
}

/** Where to mount in the guest, and how. */
export interface MountOpen {
  /** An absolute path; made if it is missing. */
  readonly target: string;
  readonly isReadonly: boolean;
  readonly isNoExec: boolean;
  /** Whether the root of the mount is a file. */
  readonly isFile?: boolean | undefined;
  /** Whether changes that are made on the host are repeated in the guest. */
  readonly isWatched?: boolean | undefined;
  /** A file system in the guest's memory of that size, in bytes, instead of one that is served. */
  readonly memoryBytes?: number | undefined;
}

/** A disk of the VM to mount in the guest. */
export interface DiskMountOpen extends Pick<MountOpen, "target" | "isReadonly" | "isNoExec"> {
  /** `/dev/vdd`. */
  readonly device: string;
  /** `""`: the guest tries the types that it knows. */
  readonly fstype: string;
  /** Whether the guest's kernel must not discard its blocks, because the host would cut the file short. */
  readonly isDiscardForbidden: boolean;
}

/** The guest's addresses, and its gateways. */
export interface NetworkOpen {
  readonly address: string;
  readonly prefixBits: number;
  readonly gateway: string;
  /** Without effect in a kernel that has no IPv6. */
  readonly address6: string;
  readonly prefixBits6: number;
  readonly gateway6: string;
}

/** How a stream with a process begins. */
export interface ExecOpening {
  /** The channels that it writes to. */
  readonly outputs: readonly OutputName[];
  /** Whether a caller of this process need not wait for it: it does not keep this process alive by itself. */
  readonly isUnattended: boolean;
  /** The frames that open it. @throws the error of {@linkcode failure} if it cannot be sent. */
  frames(stream: number): readonly Bytes[];
  /** What to tell if no process was started. */
  failure(kind: ExecFailureKind, errno: number, reason: string): Error;
}

/** Opens a stream for a program, with `execStart` in as many frames as it needs. */
export function execOpening(start: ExecStart): ExecOpening {
  const failure = (kind: ExecFailureKind, errno: number, reason: string) =>
    new ExecFailedError(programOf(start), kind, errno, reason);
  return {
    outputs: outputsOf(start.terminal !== undefined),
    isUnattended: start.detached === true || start.unattended === true,
    failure,
    frames(stream) {
      const payload = execStartPayload(start);
      if (payload.length > EXEC_START_BYTES_MAX) {
        const reason = `argv and environment need ${payload.length} of ${EXEC_START_BYTES_MAX} bytes`;
        throw failure("badArguments", 0, reason);
      }
      return cut(payload, stream);
    },
  };
}

/** Takes a job over. */
export function adoptionOpening({ job, command, isTty }: Adoption): ExecOpening {
  return {
    outputs: outputsOf(isTty),
    isUnattended: true,
    failure: (kind, errno, reason) =>
      kind === "notFound" ? new JobEndedError(command) : new ExecFailedError(command, kind, errno, reason),
    frames: (stream) => [encodeMessage("jobAttach", 0, { target: stream, job })],
  };
}

function outputsOf(isTty: boolean): readonly OutputName[] {
  return isTty ? ["output"] : ["stdout", "stderr"];
}

/** Opens a file session. It keeps this process alive by its calls, not by being there. */
export function filesOpening(open: FilesOpen): ExecOpening {
  return {
    outputs: ["stdout"],
    isUnattended: true,
    failure: (kind, errno, reason) => new FileSessionFailedError(kind, errno, reason),
    frames: (stream) => [encodeMessage("filesOpen", stream, open)],
  };
}

/** Opens a mount. It does not keep this process alive by itself. */
export function mountOpening({
  target,
  isReadonly,
  isNoExec,
  isFile,
  isWatched,
  memoryBytes,
}: MountOpen): ExecOpening {
  const flags =
    (isReadonly ? MountFlag.readonly : 0) |
    (isNoExec ? MountFlag.noExec : 0) |
    (isFile === true ? MountFlag.fileRoot : 0) |
    (isWatched === true ? MountFlag.watch : 0) |
    (memoryBytes === undefined ? 0 : MountFlag.memory);
  const sizeBytes = memoryBytes ?? 0;
  return {
    outputs: ["stdout", "stderr"],
    isUnattended: true,
    failure: (_kind, errno, reason) => new MountFailedError(target, errno, reason),
    frames: (stream) => [
      encodeMessage("mountOpen", stream, { flags, sizeBytes, target: encodeUtf8(target) }),
    ],
  };
}

/** Mounts a disk of the VM. */
export function diskMountOpening({
  target,
  isReadonly,
  isNoExec,
  device,
  fstype,
  isDiscardForbidden,
}: DiskMountOpen): ExecOpening {
  const flags =
    (isReadonly ? MountFlag.readonly : 0) |
    (isNoExec ? MountFlag.noExec : 0) |
    (isDiscardForbidden ? MountFlag.noDiscard : 0);
  return {
    outputs: ["stdout", "stderr"],
    isUnattended: true,
    failure: (_kind, errno, reason) => new MountFailedError(target, errno, reason),
    frames: (stream) => [
      encodeMessage("mountDisk", stream, { flags, device, fstype, target: encodeUtf8(target) }),
    ],
  };
}

/** Opens the guest's network. It does not keep this process alive by itself. */
export function networkOpening(open: NetworkOpen): ExecOpening {
  return {
    outputs: ["stdout"],
    isUnattended: true,
    failure: (_kind, errno, reason) =>
      new MicrosandboxError("network", `The sandbox cannot have a network: ${reason} (errno ${errno})`),
    frames: (stream) => [encodeMessage("networkOpen", stream, open)],
  };
}

/** What errors call the program: its name or path, as it was given. */
export function programOf({ argv: [program = ""] }: ExecStart): string {
  return typeof program === "string" ? program : decodeUtf8(program);
}

function execStartPayload({ argv, env, cwd, user, rlimits, terminal, ...start }: ExecStart): Bytes {
  const flags =
    (terminal === undefined ? 0 : ExecFlag.tty) |
    (start.stdin ? ExecFlag.stdinPipe : 0) |
    (start.detached === true ? ExecFlag.detached : 0) |
    (start.keepInput === true ? ExecFlag.keepInput : 0);
  const { rows, columns } = terminal ?? { rows: 0, columns: 0 };
  return encodePayload("execStart", { flags, rows, columns, cwd, user, argv, env, rlimits });
}

function cut(payload: Bytes, stream: number): readonly Bytes[] {
  const frames: Bytes[] = [];
  for (let offset = 0; offset < payload.length; offset += FRAME_PAYLOAD_BYTES_MAX) {
    const end = offset + FRAME_PAYLOAD_BYTES_MAX;
    frames.push(
      encodeFrame({
        stream,
        type: MESSAGES.execStart.type,
        flags: end < payload.length ? FrameFlag.more : 0,
        payload: payload.subarray(offset, end),
      }),
    );
  }
  return frames;
}
