/**
 * Messages about mounts: see `messages.ts`.
 *
 * @module
 */
import type { MessageDefinition } from "./messages.ts";

export const MOUNT_MESSAGES = {
  // ---- mounts, any stream but 0: a child of the agent that carries FUSE requests to the client that opened the stream, as stdout, and
  // replies back, as stdin. Started and ended as a program is. Once its stream is closed every request fails with EIO
  mountOpen: {
    type: 0x38,
    about:
      "client to agent: opens the stream. target is made if it is missing; see MountFlag. sizeBytes is of a file system in memory",
    fields: { flags: "u8", sizeBytes: "u64", target: "blob" },
  },
  unmount: {
    type: 0x39,
    about:
      "client to agent: with lazily 1 also if it is in use. The errno follows as four bytes of stderr; 0 ends the stream",
    fields: { lazily: "u8" },
  },

  // ---- a disk of the VM, any stream but 0: started like a program; ends once it is mounted
  mountDisk: {
    type: 0x3d,
    about:
      "client to agent: opens the stream. target is created if it is missing; flags: see MountFlag. With an empty fstype, the agent tries each that it knows",
    fields: { flags: "u8", device: "text", fstype: "text", target: "blob" },
  },

  // ---- mounts of directories of the host, stream 0: a client asks the VM host process, which serves them
  mountAdd: {
    type: 0x3a,
    about:
      "client to host: see MountFlag. source is a path of the host, whose owner is uid and gid in the guest; answered by mountChanged",
    fields: {
      token: "u32",
      flags: "u8",
      uid: "u32",
      gid: "u32",
      memoryBytes: "u64",
      source: "text",
      target: "text",
    },
  },
  mountRemove: {
    type: 0x3b,
    about: "client to host: answered by mountChanged",
    fields: { token: "u32", target: "text" },
  },
  mountChanged: {
    type: 0x3c,
    about: "host to client: done if problem is empty, or why not",
    fields: { token: "u32", problem: "text" },
  },
} as const satisfies Readonly<Record<string, MessageDefinition>>;
