/**
 * One VM's configuration inside libkrun, from its creation to its start.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { InternalError, UnsupportedError } from "../base/errors.ts";
import { cString, withCStringArray } from "./c_memory.ts";
import { errnoName } from "./errno.ts";
import { LibkrunCallError } from "./errors.ts";
import {
  CPUS_MAX,
  checkDeviceCount,
  checkFd,
  checkHostPath,
  checkInteger,
  checkKernelWords,
  checkMac,
  checkMemory,
  checkName,
  checkPortMap,
  checkSocketPath,
  checkTapName,
  checkUnused,
  DISK_ID_BYTES_MAX,
  PORT_NAME_BYTES_MAX,
  VIRTIOFS_TAG_BYTES_MAX,
} from "./krun_checks.ts";
import { checkNetFeatures } from "./krun_net_features.ts";
import type { LIBKRUN_SYMBOLS } from "./libkrun_symbols.ts";
import type { Bound, NativeInterface } from "./symbol_table.ts";

/** A raw disk image. */
export interface DiskOptions {
  /** Unique in the VM; the guest does not see it. */
  id: string;
  /** Opened at the start. */
  path: string;
  readOnly: boolean;
  /** Open with O_DIRECT. @default {false} */
  directIo?: boolean | undefined;
  /** What a flush of the guest does; `"none"` offers it no flush at all. @default {"full"} */
  sync?: "none" | "relaxed" | "full" | undefined;
}

/** What both kinds of network device have. */
interface NetOptions {
  /** 6 bytes, unicast. */
  mac: Uint8Array;
  /** Offload features: bits of `NET_FEATURES`. @default {0} */
  features?: number | undefined;
  /** Bits of `NET_FLAGS`; libkrun before 1.18 refuses all. @default {0} */
  flags?: number | undefined;
}

/** A network device on a TAP interface, which is opened when the guest's driver starts. */
export interface NetTapOptions extends NetOptions {
  /** At most 15 bytes. Must exist by then: a failure to open it hangs the VM. */
  name: string;
}

/** A network device on a unix stream socket: each frame follows its length, 4 bytes, big-endian. */
export interface NetUnixstreamOptions extends NetOptions {
  /** Path of a listening socket, or a connected descriptor, which libkrun then owns. */
  peer: { path: string } | { fd: number };
}

/** A host directory for the guest. */
export interface VirtiofsOptions {
  /** 1 to 36 bytes. */
  tag: string;
  path: string;
  /** Enforced by libkrun, since 1.18. @default {false} */
  readOnly?: boolean | undefined;
  /** Size of the window through which the guest maps file pages; 0 for none. @default {0} */
  daxWindowBytes?: bigint | undefined;
}

/** What a context needs from its library; see `Libkrun`. */
export interface KrunContextHost {
  readonly native: NativeInterface;
  readonly symbols: Bound<typeof LIBKRUN_SYMBOLS>;
  /** Where the bundled kernel ends in guest memory. */
  readonly kernelEndMiB: number;
  isOpen(fd: number): boolean;
}

const SYNC_MODES = { none: 0, relaxed: 1, full: 2 } as const;
const DISK_FORMAT_RAW = 0;
const TSI_HIJACK_INET = 1;
const TSI_HIJACK_UNIX = 2;
/** The balloon and the random source, which every VM has. */
const OWN_DEVICES = 2;
const EMPTY = new Set<string>();

/**
 * One VM that is being configured. Methods may be called in any order, except where they say otherwise, until
 * {@linkcode KrunContext.startEnter} or {@linkcode KrunContext.free}.
 *
 * Every method throws `InvalidConfigError` for a value that libkrun could not take, `LibkrunCallError` for a call that
 * libkrun refused, and `UnsupportedError` where the loaded libkrun lacks the function.
 */
export class KrunContext {
  readonly #host: KrunContextHost;
  readonly #c: Bound<typeof LIBKRUN_SYMBOLS>;
  readonly #id: number;
  #state: "open" | "started" | "freed" = "open";
  #implicitConsole = true;
  #implicitVsock = true;
  #explicitDevices = 0;
  readonly #diskIds = new Set<string>();
  readonly #tags = new Set<string>();
  readonly #portNames = new Map<number, Set<string>>();

  /** Use `Libkrun.createContext()`. */
  constructor(host: KrunContextHost) {
    this.#host = host;
    this.#c = host.symbols;
    this.#id = checked("krun_create_ctx", this.#c.krun_create_ctx());
  }

  setVmConfig({ cpus, memoryMiB }: { cpus: number; memoryMiB: number }): void {
    checkInteger("cpus", cpus, 1, CPUS_MAX);
    checkMemory("memoryMiB", memoryMiB, this.#host.kernelEndMiB);
    this.#call("krun_set_vm_config", (id) => this.#c.krun_set_vm_config(id, cpus, memoryMiB));
  }

  /**
   * Sets the words that libkrun adds to the kernel's command line: `root=/dev/vda`, `init=/agent`. A later word wins over
   * libkrun's own. The guest can read them all.
   */
  setEnv(words: readonly string[]): void {
    checkKernelWords("words", words);
    this.#call("krun_set_env", (id) =>
      withCStringArray(this.#host.native, words, (array) => this.#c.krun_set_env(id, array)),
    );
  }

  /** The user and group that the process takes once the disks are open, before it opens `/dev/kvm`. */
  setUser({ uid, gid }: { uid: number; gid: number }): void {
    checkInteger("uid", uid, 0, 0xffff_fffe);
    checkInteger("gid", gid, 0, 0xffff_fffe);
    this.#call("krun_setgid", (id) => this.#c.krun_setgid(id, gid));
    this.#call("krun_setuid", (id) => this.#c.krun_setuid(id, uid));
  }

  /** Adds a disk. The order of adding is the guest's: `vda`, `vdb`, … . */
  addDisk({ id: diskId, path, readOnly, directIo = false, sync = "full" }: DiskOptions): void {
    checkName("id", diskId, DISK_ID_BYTES_MAX);
    checkUnused("id", diskId, this.#diskIds);
    checkHostPath("path", path);
    const { krun_add_disk: add, krun_add_disk3: add3 } = this.#c;
    const [idText, pathText] = [cString(diskId), cString(path)];
    if (add3 !== undefined) {
      this.#addDevice("krun_add_disk3", (id) =>
        add3(id, idText, pathText, DISK_FORMAT_RAW, readOnly, directIo, SYNC_MODES[sync]),
      );
    } else if (directIo || sync !== "full") {
      throw lacks("krun_add_disk3", "directIo and sync need libkrun 1.17 or later");
    } else if (add !== undefined) {
      this.#addDevice("krun_add_disk", (id) => add(id, idText, pathText, readOnly));
    } else {
      throw lacks("krun_add_disk", "use a libkrun that was built with BLK=1");
    }
    this.#diskIds.add(diskId);
  }

  /** The guest gets no console but those added here: boot failures are then silent unless one of them is the kernel's. */
  disableImplicitConsole(): void {
    this.#call("krun_disable_implicit_console", (id) => this.#c.krun_disable_implicit_console(id));
    this.#implicitConsole = false;
  }

  /** The file that takes what the kernel writes to the implicit console; truncated at the start. Once only. */
  setConsoleOutput(path: string): void {
    checkHostPath("path", path);
    this.#call("krun_set_console_output", (id) => this.#c.krun_set_console_output(id, cString(path)));
  }

  /** Adds a console device without ports and returns its id, for {@linkcode KrunContext.addConsolePort}. */
  addMultiportConsole(): number {
    const consoleId = this.#addDevice("krun_add_virtio_console_multiport", (id) =>
      this.#c.krun_add_virtio_console_multiport(id),
    );
    this.#portNames.set(consoleId, new Set());
    return consoleId;
  }

  /**
   * Adds a named port, which the guest finds in `/sys/class/virtio-ports`. Both descriptors may be one socket; -1 is
   * none. They must stay open until the start, which duplicates them and makes them non-blocking.
   */
  addConsolePort(consoleId: number, name: string, inputFd: number, outputFd: number): void {
    checkInteger("consoleId", consoleId, 0, 0xffff_ffff);
    checkName("name", name, PORT_NAME_BYTES_MAX);
    checkUnused("name", name, this.#portNames.get(consoleId) ?? EMPTY);
    checkFd("inputFd", inputFd, (fd) => this.#host.isOpen(fd));
    checkFd("outputFd", outputFd, (fd) => this.#host.isOpen(fd));
    this.#call("krun_add_console_port_inout", (id) =>
      this.#c.krun_add_console_port_inout(id, consoleId, cString(name), inputFd, outputFd),
    );
    this.#portNames.get(consoleId)?.add(name);
  }

  /** Without it libkrun adds a vsock device that carries the guest's sockets to the host's network. */
  disableImplicitVsock(): void {
    this.#call("krun_disable_implicit_vsock", (id) => this.#c.krun_disable_implicit_vsock(id));
    this.#implicitVsock = false;
  }

  /** Adds a vsock device, after {@linkcode KrunContext.disableImplicitVsock}. Without options it carries vsock only. */
  addVsock({ hijackInet = false, hijackUnix = false } = {}): void {
    const add = this.#c.krun_add_vsock;
    if (add === undefined) throw lacks("krun_add_vsock");
    const flags = (hijackInet ? TSI_HIJACK_INET : 0) | (hijackUnix ? TSI_HIJACK_UNIX : 0);
    this.#addDevice("krun_add_vsock", (id) => add(id, flags));
  }

  /** Joins a vsock port to a unix socket of the host: libkrun listens there, or connects to it for each guest connection. */
  addVsockPort({ port, path, listen }: { port: number; path: string; listen: boolean }): void {
    checkInteger("port", port, 0, 0xffff_ffff);
    checkSocketPath("path", path);
    this.#call("krun_add_vsock_port2", (id) => this.#c.krun_add_vsock_port2(id, port, cString(path), listen));
  }

  /** TCP ports of the host that lead to the guest's, by the implicit vsock device. */
  setPortMap(ports: readonly { hostPort: number; guestPort: number }[]): void {
    checkPortMap("ports", ports);
    const words = ports.map(({ hostPort, guestPort }) => `${hostPort}:${guestPort}`);
    this.#call("krun_set_port_map", (id) =>
      withCStringArray(this.#host.native, words, (array) => this.#c.krun_set_port_map(id, array)),
    );
  }

  addNetTap({ name, mac, features = 0, flags = 0 }: NetTapOptions): void {
    checkTapName("name", name);
    checkMac("mac", mac);
    checkNetFeatures({ features, flags, tap: true });
    const add = this.#c.krun_add_net_tap;
    if (add === undefined) throw lacks("krun_add_net_tap", "use a libkrun that was built with NET=1");
    this.#addDevice("krun_add_net_tap", (id) => add(id, cString(name), copy(mac), features, flags));
  }

  addNetUnixstream({ peer, mac, features = 0, flags = 0 }: NetUnixstreamOptions): void {
    if ("path" in peer) checkSocketPath("peer.path", peer.path);
    else checkFd("peer.fd", peer.fd, (fd) => fd >= 0 && this.#host.isOpen(fd));
    checkMac("mac", mac);
    checkNetFeatures({ features, flags, tap: false });
    const add = this.#c.krun_add_net_unixstream;
    if (add === undefined) throw lacks("krun_add_net_unixstream", "use a libkrun that was built with NET=1");
    const [path, fd] = "path" in peer ? [cString(peer.path), -1] : [null, peer.fd];
    this.#addDevice("krun_add_net_unixstream", (id) => add(id, path, fd, copy(mac), features, flags));
  }

  /** Shares a host directory. libkrun does not confine the guest to it: see its security model. */
  addVirtiofs({ tag, path, readOnly = false, daxWindowBytes = 0n }: VirtiofsOptions): void {
    checkName("tag", tag, VIRTIOFS_TAG_BYTES_MAX);
    checkUnused("tag", tag, this.#tags);
    checkHostPath("path", path);
    const [tagText, pathText] = [cString(tag), cString(path)];
    const { krun_add_virtiofs2: add2, krun_add_virtiofs3: add3 } = this.#c;
    if (add3 !== undefined) {
      this.#addDevice("krun_add_virtiofs3", (id) => add3(id, tagText, pathText, daxWindowBytes, readOnly));
    } else if (readOnly) {
      throw lacks("krun_add_virtiofs3", "read-only directories need libkrun 1.18 or later");
    } else if (daxWindowBytes === 0n) {
      this.#addDevice("krun_add_virtiofs", (id) => this.#c.krun_add_virtiofs(id, tagText, pathText));
    } else if (add2 !== undefined) {
      this.#addDevice("krun_add_virtiofs2", (id) => add2(id, tagText, pathText, daxWindowBytes));
    } else {
      throw lacks("krun_add_virtiofs2");
    }
    this.#tags.add(tag);
  }

  /**
   * Starts the VM and blocks this thread for as long as it runs; the whole process then ends, with no JavaScript after
   * it. Comes back only as an error, when the VM could not be started. Either way the context is used up.
   *
   * @throws {LibkrunCallError} with little in it: libkrun writes the reason to its log alone.
   */
  startEnter(): never {
    const implicitDevices = Number(this.#implicitConsole) + Number(this.#implicitVsock);
    checkDeviceCount(OWN_DEVICES + implicitDevices + this.#explicitDevices);
    const id = this.#open("krun_start_enter");
    this.#state = "started";
    const result = this.#c.krun_start_enter(id);
    throw new LibkrunCallError("krun_start_enter", result, errnoName(-result), {
      hint: "the reason is in libkrun's log (runtime.log), at level error",
    });
  }

  /** Gives the context up. Must not follow a start. */
  free(): void {
    this.#call("krun_free_ctx", (id) => this.#c.krun_free_ctx(id));
    this.#state = "freed";
  }

  #addDevice(name: string, call: (id: number) => number): number {
    checkDeviceCount(OWN_DEVICES + this.#explicitDevices + 1);
    const result = this.#call(name, call);
    this.#explicitDevices += 1;
    return result;
  }

  #call(name: string, call: (id: number) => number): number {
    return checked(name, call(this.#open(name)));
  }

  #open(name: string): number {
    if (this.#state === "open") return this.#id;
    throw new InternalError(`Cannot call ${name}: the context was ${this.#state}`);
  }
}

/** `result`, unless it is a negated errno. */
export function checked(name: string, result: number): number {
  if (result >= 0) return result;
  throw new LibkrunCallError(name, result, errnoName(-result));
}

function lacks(name: string, hint?: string): UnsupportedError {
  return new UnsupportedError(`The loaded libkrun lacks ${name}`, { hint });
}

function copy(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes);
}
