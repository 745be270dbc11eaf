/**
 * Every message of the wire, in one table; `protocol.ts` explains frames, streams and windows.
 *
 * @module
 */
import { JOB_MESSAGES } from "./job_messages.ts";
import { MOUNT_MESSAGES } from "./mount_messages.ts";
import { NETWORK_MESSAGES } from "./network_messages.ts";

/**
 * How a field is written: `u8` … `u64`, `i32` and `i64` are fixed; `u64` must be a safe integer, `i64` is a bigint; `text` is
 * a u32 size and UTF-8; `blob` is a u32 size and any bytes; `texts` is a u32 count and that many `text`s; `bytes` is the rest
 * of the payload and stands last.
 */
export type FieldType = "u8" | "u16" | "u32" | "u64" | "i32" | "i64" | "text" | "blob" | "texts" | "bytes";

export interface MessageDefinition {
  /** Number of the message in the frame header. */
  readonly type: number;
  /** One line for the generated header. */
  readonly about: string;
  readonly fields: Readonly<Record<string, FieldType>>;
}

/** Every message. Numbers are never reused. */
export const MESSAGES = {
  // ---- agent and VM host process, stream 0
  hello: {
    type: 0x01,
    about: "agent to host, first frame",
    fields: { version: "u16", features: "u32", agentVersion: "text" },
  },
  boot: {
    type: 0x02,
    about:
      "host to agent, once: what to mount and write before anything can run. an empty upperDevice means a file system in memory; upperFlags: see MountFlag",
    fields: {
      imageDevice: "text",
      imageType: "text",
      upperDevice: "text",
      upperType: "text",
      upperOptions: "text",
      upperFlags: "u8",
      hostname: "text",
      hosts: "text",
      resolvConf: "text",
      clockSeconds: "u64",
      clockNanoseconds: "u32",
    },
  },
  ready: {
    type: 0x03,
    about: "agent to host: exec works. Times are CLOCK_BOOTTIME in microseconds",
    fields: { agentStartMicros: "u64", bootMessageMicros: "u64", readyMicros: "u64", kernelRelease: "text" },
  },
  bootFailed: {
    type: 0x04,
    about: "agent to host: the root could not be assembled; the agent reboots next",
    fields: { stage: "u8", errno: "i32", message: "text" },
  },
  ping: { type: 0x05, about: "either way", fields: { token: "u32" } },
  pong: { type: 0x06, about: "answer to ping, on its stream", fields: { token: "u32" } },
  clock: {
    type: 0x07,
    about: "host to agent: set the wall clock",
    fields: { seconds: "u64", nanoseconds: "u32" },
  },
  shutdown: {
    type: 0x08,
    about: "host to agent: refuse new work, end sessions, flush",
    fields: { graceMs: "u32" },
  },
  flushed: {
    type: 0x09,
    about:
      "agent to host: everything is on disk. clean is 1 if the upper file system is unmounted or read-only",
    fields: { clean: "u8" },
  },
  go: { type: 0x0a, about: "host to agent: end the VM now", fields: {} },
  error: {
    type: 0x0b,
    about: "either way, on the offending stream: a frame was refused; the connection goes on",
    fields: { code: "u16", offendingType: "u8", message: "text" },
  },
  clientGone: {
    type: 0x0c,
    about: "host to agent: kill the sessions of these streams that are not detached; inclusive range",
    fields: { firstStream: "u32", lastStream: "u32" },
  },

  // ---- VM host process and client, stream 0; the agent never sees these
  welcome: {
    type: 0x10,
    about: "host to client, first frame, sent when the sandbox is ready",
    fields: {
      version: "u16",
      features: "u32",
      firstStream: "u32",
      lastStream: "u32",
      bootNumber: "u32",
      sandboxId: "text",
    },
  },
  stop: { type: 0x11, about: "client to host: run the stop sequence", fields: { graceMs: "u32" } },
  stopped: {
    type: 0x12,
    about: "host to client: the state on disk is final; end of connection follows when the process is gone",
    fields: { clean: "u8" },
  },
  kill: { type: 0x13, about: "client to host: end the VM at once, nothing flushed", fields: {} },
  touch: { type: 0x14, about: "client to host: counts as activity; answered by noted", fields: {} },
  limits: {
    type: 0x15,
    about:
      "client to host: new time limits for those that which names (bits), in ms; 0 is none; answered by noted",
    fields: { which: "u8", maxDurationMs: "u64", idleTimeoutMs: "u64" },
  },
  drain: {
    type: 0x16,
    about: "client to host: refuse new programs, stop once none runs any more; answered by noted",
    fields: {},
  },
  noted: {
    type: 0x17,
    about: "host to client: a touch, limits or drain took effect; in the order in which they were sent",
    fields: { activity: "u64" },
  },

  ports: {
    type: 0x58,
    about:
      "client to host: see PortAction and PortProtocol; answered by published. hostPort 0 is chosen by the system",
    fields: {
      token: "u32",
      action: "u8",
      protocol: "u8",
      hostPort: "u16",
      guestPort: "u16",
      bind: "text",
    },
  },
  published: {
    type: 0x59,
    about: "host to client: see PortFailure. ports are `bind hostPort guestPort protocol`",
    fields: { token: "u32", failure: "u8", message: "text", ports: "texts" },
  },

  // ---- exec sessions, any stream but 0
  execStart: {
    type: 0x20,
    about: "client to agent: opens the stream",
    fields: {
      flags: "u8",
      rows: "u16",
      columns: "u16",
      cwd: "text",
      user: "text",
      argv: "texts",
      env: "texts",
      rlimits: "texts",
    },
  },
  execStarted: { type: 0x21, about: "agent to client", fields: { pid: "u32" } },
  execFailed: {
    type: 0x22,
    about: "agent to client: no process was started; closed follows",
    fields: { kind: "u8", errno: "i32", message: "text" },
  },
  stdin: { type: 0x23, about: "client to agent: data channel", fields: { data: "bytes" } },
  stdinError: {
    type: 0x24,
    about: "agent to client: the process closed its stdin; later stdin frames are dropped",
    fields: { errno: "i32" },
  },
  stdout: { type: 0x25, about: "agent to client: data channel", fields: { data: "bytes" } },
  stderr: { type: 0x26, about: "agent to client: data channel", fields: { data: "bytes" } },
  output: {
    type: 0x27,
    about: "agent to client: data channel of a pseudo-terminal",
    fields: { data: "bytes" },
  },
  credit: {
    type: 0x28,
    about: "receiver to sender: channel is the type of the data frames, bytes is added to its window",
    fields: { channel: "u8", bytes: "u32" },
  },
  exited: {
    type: 0x29,
    about:
      "agent to client, the moment the process is reaped: an exit code, or the signal (not 0) that ended it",
    fields: { code: "i32", signal: "u8" },
  },
  settled: {
    type: 0x2a,
    about: "agent to client, after exited: all that the process wrote has been sent",
    fields: {},
  },
  signal: {
    type: 0x2b,
    about: "client to agent: to the process group, or (scope 1) to the process alone",
    fields: { signal: "u8", scope: "u8" },
  },
  resize: {
    type: 0x2c,
    about: "client to agent: size of the pseudo-terminal",
    fields: { rows: "u16", columns: "u16" },
  },
  close: {
    type: 0x2d,
    about:
      "client to agent: no more frames wanted. Kills the group if the process still runs and is not detached",
    fields: {},
  },
  closed: { type: 0x2e, about: "agent to client: last frame of the stream", fields: {} },

  // ---- file sessions, any stream but 0: a child of the agent that answers requests (file_messages.ts). It is started and ends
  // as a program does: execStarted or execFailed, stdin and stdout with credit, stdinError, close, exited, settled, closed
  filesOpen: {
    type: 0x30,
    about:
      "client to agent: opens the stream. Relative paths begin at cwd, or at the user's home if it is empty",
    fields: { user: "text", cwd: "text" },
  },

  // ---- jobs: detached programs that the VM host process keeps a record of
  ...JOB_MESSAGES,

  ...MOUNT_MESSAGES,

  ...NETWORK_MESSAGES,

  netif: {
    type: 0x54,
    about: "host to agent: gives the network interface its address and its gateway; answered by netifDone",
    fields: { address: "text", prefixBits: "u8", gateway: "text", mtu: "u16" },
  },
  netifDone: {
    type: 0x55,
    about: "agent to host: answer to netif; errno is 0, or why message could not be done",
    fields: { errno: "i32", message: "text" },
  },

  // ---- TCP streams, any stream but 0; data as stdin and stdout, with credit, stdinError, close and closed
  tcpConnect: {
    type: 0x50,
    about: "client to agent: opens the stream. host is an address; empty: the guest's loopback",
    fields: { port: "u16", timeoutMs: "u32", host: "text" },
  },
  tcpConnected: { type: 0x51, about: "agent to client: data may flow", fields: {} },
  tcpFailed: {
    type: 0x52,
    about: "agent to client: there is no connection, or it broke; closed follows",
    fields: { errno: "i32", message: "text" },
  },

  // ---- UDP flows, any stream but 0; only of the VM host process. No windows: what does not fit is dropped
  udpOpen: {
    type: 0x56,
    about: "host to agent: opens the stream, for datagrams to and from a port of the guest's loopback",
    fields: { port: "u16" },
  },
  datagram: {
    type: 0x57,
    about: "either way: one whole datagram",
    fields: { data: "bytes" },
  },

  // ---- standing still, stream 0: a client asks the VM host process, which asks the agent
  pause: {
    type: 0x60,
    about: "stop all programs where they are (on is 1), or let them go on (0); answered by paused",
    fields: { token: "u32", on: "u8" },
  },
  paused: {
    type: 0x61,
    about: "answer to pause: whether programs stand still now; errno says why that is not what was asked for",
    fields: { token: "u32", on: "u8", errno: "i32" },
  },
  freeze: {
    type: 0x62,
    about:
      "bring all writes to the upper disk and hold new ones back (on is 1) for at most leaseMs, to be renewed by asking again, or let them go on (0); answered by frozen",
    fields: { token: "u32", on: "u8", leaseMs: "u32" },
  },
  frozen: {
    type: 0x63,
    about:
      "answer to freeze: whether writes are held back now. To a release errno says whether they were until then (0), or not (ETIMEDOUT)",
    fields: { token: "u32", on: "u8", errno: "i32" },
  },

  // ---- metrics, stream 0: a client asks the VM host process, which asks the agent
  metrics: {
    type: 0x64,
    about:
      "how much is used; answered by measured (VM host process) or usage (agent). Or, with processes 1, which programs run; answered by processes",
    fields: { token: "u32", processes: "u8" },
  },
  measured: {
    type: 0x65,
    about:
      "host to client: answer to metrics. known: see Measured. errno is 0, or why there are no numbers, which message says",
    fields: {
      token: "u32",
      errno: "i32",
      message: "text",
      known: "u8",
      cpus: "u8",
      vcpuMicros: "u64",
      uptimeMicros: "u64",
      timestampMs: "u64",
      memoryBytes: "u64",
      memoryAvailableBytes: "u64",
      memoryHostResidentBytes: "u64",
      memoryLimitBytes: "u64",
      diskReadBytes: "u64",
      diskWriteBytes: "u64",
      netRxBytes: "u64",
      netTxBytes: "u64",
      upperUsedBytes: "u64",
      upperFreeBytes: "u64",
      upperHostAllocatedBytes: "u64",
    },
  },
  usage: {
    type: 0x66,
    about:
      "agent to host: answer to metrics. errno is 0, or why there are no numbers. upper is 1 if there is an upper file system on a disk",
    fields: {
      token: "u32",
      errno: "i32",
      upper: "u8",
      memoryTotalBytes: "u64",
      memoryAvailableBytes: "u64",
      diskReadBytes: "u64",
      diskWriteBytes: "u64",
      netRxBytes: "u64",
      netTxBytes: "u64",
      upperUsedBytes: "u64",
      upperFreeBytes: "u64",
    },
  },
  processes: {
    type: 0x67,
    about:
      "answer to metrics: `pid parent uid state cpuMs residentBytes ageMs`, a line feed, the user's name or nothing, a line feed, the command; of total those that fit. errno is 0, or why there are none",
    fields: { token: "u32", errno: "i32", total: "u32", processes: "texts" },
  },
} as const satisfies Readonly<Record<string, MessageDefinition>>;

export type MessageName = keyof typeof MESSAGES;

type FieldValue<T extends FieldType> = T extends "text"
  ? string
  : T extends "texts"
    ? readonly string[]
    : T extends "bytes" | "blob"
      ? Uint8Array
      : T extends "i64"
        ? bigint
        : number;

/** The values of the fields of a definition. */
export type MessageFieldsOf<F extends MessageDefinition["fields"]> = {
  readonly [K in keyof F]: FieldValue<F[K]>;
};

/** The fields of one message as JavaScript values. */
export type MessageFields<N extends MessageName> = MessageFieldsOf<(typeof MESSAGES)[N]["fields"]>;

/** A text as it is sent: a string, or the bytes of one that is not UTF-8, such as a file's name. */
export type SentText = string | Uint8Array;

/** The fields of one message as they are given to be sent. */
export type SentFields<N extends MessageName> = {
  readonly [K in keyof MessageFields<N>]: MessageFields<N>[K] extends readonly string[]
    ? readonly SentText[]
    : MessageFields<N>[K];
};

/** What `paused` and `frozen` say: whether programs or writes are held now; `errno` if that is not what was asked for. */
export interface HoldState {
  readonly on: boolean;
  readonly errno: number;
}

/** One decoded message: switch on `name`. */
export type Message = {
  readonly [N in MessageName]: { readonly name: N; readonly stream: number; readonly flags: number } & {
    readonly fields: MessageFields<N>;
  };
}[MessageName];
