/**
 * The wire between guest agent, VM host process and clients: every constant here, every message in `messages.ts`.
 * `scripts/generate_protocol_header.ts` writes `guest/protocol.h` from both; a test fails if they differ.
 *
 * A frame is a 12-byte header and a payload, all little-endian:
 *
 * ```text
 * u32 payload size | u32 stream | u8 type | u8 flags | u16 zero | payload
 * ```
 *
 * Stream 0 is control. Every other stream is one exec session, one TCP connection or one UDP flow in the guest. The
 * relay in the VM host process gives each client a range of stream numbers of its own, so that it can route a frame by its
 * number alone and never rewrites one.
 *
 * Flow control: each data channel of a stream (stdin, stdout, stderr, output) has a window. A sender starts with
 * {@linkcode STREAM_WINDOW_BYTES} and may send that many payload bytes; the receiver gives more with `credit` as its
 * consumer takes the bytes. Frames that carry no channel data are not counted.
 *
 * @module
 */

export * from "./messages.ts";

/** Raised when a frame or message changes its meaning. Both sides must agree. */
export const PROTOCOL_VERSION = 2;

export const FRAME_HEADER_BYTES = 12;
/** Largest payload of one frame. */
export const FRAME_PAYLOAD_BYTES_MAX = 64 * 1024;
/** Credit that each data channel starts with; also the most that a sender may ever hold. */
export const STREAM_WINDOW_BYTES = 256 * 1024;
/** Largest `execStart` after its parts are joined: argv, environment and the rest. */
export const EXEC_START_BYTES_MAX = 1024 * 1024;
/** Clients of one VM host process at a time. */
export const RELAY_CLIENTS_MAX = 128;
/** Exec sessions of one sandbox at a time, those included whose process has ended while a child holds its pipes. */
export const SESSIONS_MAX = 256;
/** A client's streams are numbered `slot << STREAM_SLOT_SHIFT` and up; slot 0 is the VM host process itself. */
export const STREAM_SLOT_SHIFT = 24;

/** Bits of the header's `flags`. */
export const FrameFlag = {
  /** The channel ends with this frame's payload (which may be empty). */
  end: 1,
  /** Output of a session whose client is gone or done: for the log, not for a client. */
  logOnly: 2,
  /** The message continues in the next frame of this stream. Only `execStart` and the messages of `network_messages.ts` that come in parts. */
  more: 4,
} as const;

/** Bits of `limits.which`. */
export const TimeLimit = {
  maxDuration: 1,
  idleTimeout: 2,
} as const;

/** Bits of `execStart.flags`. */
export const ExecFlag = {
  /** Run on a pseudo-terminal: one merged channel, `output`. */
  tty: 1,
  /** stdin is a pipe fed by `stdin` frames; without it stdin is /dev/null. */
  stdinPipe: 2,
  /** Outlives the client that started it. */
  detached: 4,
  /** Its stdin stays open when its client goes: another one may adopt it. */
  keepInput: 8,
} as const;

/** Bits of `adopted.flags`. */
export const AdoptFlag = {
  /** It runs on a pseudo-terminal. */
  tty: 1,
  /** Its stdin is open. */
  input: 2,
} as const;

/** Bits of `jobStart.flags`. */
export const JobFlag = {
  /** It runs on a pseudo-terminal. */
  tty: 1,
} as const;

/** `jobAnswer.failure`. */
export const JobFailure = {
  none: 0,
  other: 1,
  /** A job that runs has the name. */
  nameTaken: 2,
  tooMany: 3,
  /** No job of that id runs. */
  notRunning: 4,
  /** The state database cannot be written. */
  notRecorded: 5,
} as const;

/** Bits of `mountOpen.flags`. */
export const MountFlag = {
  readonly: 1,
  noExec: 2,
  /** The root of the mount is a file, not a directory. */
  fileRoot: 4,
  /** A file system in the guest's memory (tmpfs), which needs no server: the stream ends once it is mounted. */
  memory: 8,
  /** Of a disk: the guest's kernel discards nothing of it. */
  noDiscard: 16,
  /** Changes that are made on the host are repeated in the guest: see {@linkcode MountNotice}. */
  watch: 32,
  /** Of `mountAdd`: locks of the guest's programs are taken on the host's files. The guest needs `watch` for it. */
  locks: 64,
} as const;

/**
 * What the server of a mount tells the guest in a reply that answers no request (its number is 0): a batch of notices, each with
 * the header of a reply. The code of a header is the kernel's own (`FUSE_NOTIFY_…`), or `codeReplay`: then a kind follows, and
 * a path with its zero, which the guest repeats as a system call on the mount. Once all are done, the guest says so by a
 * request whose opcode is `codeReplay`, and whose process is the one that repeats; and once before the first.
 */
export const MountNotice = {
  createdFile: 1,
  createdDirectory: 2,
  createdSymlink: 3,
  createdFifo: 4,
  removedFile: 5,
  removedDirectory: 6,
  /** Two paths follow: the old one and the new one. */
  renamed: 7,
  modified: 8,
  attributes: 9,
  createdSocket: 10,
  /** A file that was made and written. */
  createdWritten: 11,
  /** A program that was made, or written: it is not opened for that, or it could not be run at that moment. */
  createdProgram: 12,
  modifiedProgram: 13,
  codeReplay: 0x4d53,
  /** Most bytes of a batch. */
  bytesMax: 32 * 1024,
} as const;

/** Bits of `networkReady.features`. */
export const NetworkFeature = {
  /** The guest's kernel has IPv6. */
  ipv6: 1,
} as const;

/** `flowRequest.protocol`: numbers of IANA; an echo of IPv6 is an `icmp`, too. */
export const FlowProtocolCode = {
  icmp: 1,
  tcp: 6,
  udp: 17,
} as const;

/** `flowRefuse.reason`. */
export const FlowRefusalCode = {
  refused: 0,
  unreachable: 1,
  timedOut: 2,
} as const;

/** `execFailed.kind`: at which step a program could not be started. */
export const ExecFailure = {
  other: 0,
  notFound: 1,
  permissionDenied: 2,
  notExecutable: 3,
  badCwd: 4,
  badUser: 5,
  badArguments: 6,
  resourceLimit: 7,
  outOfMemory: 8,
  ptySetup: 9,
  tooManySessions: 10,
  shuttingDown: 11,
  paused: 12,
} as const;

/** `bootFailed.stage`. */
export const BootStage = {
  other: 0,
  pseudoFilesystems: 1,
  image: 2,
  upper: 3,
  overlay: 4,
  switchRoot: 5,
  network: 6,
  files: 7,
} as const;

/** Bits of `measured.known`: which of the numbers that not every sandbox has are there. */
export const Measured = {
  hostResident: 1,
  upper: 2,
  upperHostAllocated: 4,
} as const;

/** `error.code`. */
export const WireError = {
  unknownType: 1,
  malformed: 2,
  badStream: 3,
  windowExceeded: 4,
  tooManyClients: 5,
  notReady: 6,
  /** Not a refusal: the VM host process says why the sandbox crashed, and ends. */
  crashed: 7,
} as const;
