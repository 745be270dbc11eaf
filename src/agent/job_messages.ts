/**
 * The messages of the wire that are about jobs: a part of the table in `messages.ts`.
 *
 * @module
 */

/** Numbers are never reused. */
export const JOB_MESSAGES = {
  jobStart: {
    type: 0x40,
    about:
      "client to host, stream 0: the program that execStart is about to start on stream target is a job; answered by jobAnswer",
    fields: { token: "u32", target: "u32", flags: "u8", name: "text", command: "texts" },
  },
  jobSignal: {
    type: 0x41,
    about: "client to host, stream 0: what signal does, to a job wherever it is; answered by jobAnswer",
    fields: { token: "u32", job: "text", signal: "u8", scope: "u8" },
  },
  jobAnswer: {
    type: 0x42,
    about:
      "host to client, stream 0: see JobFailure. job is the id of the job, or of the one that has the name",
    fields: { token: "u32", failure: "u8", job: "text", message: "text" },
  },
  jobAttach: {
    type: 0x43,
    about:
      "client to host, stream 0: hands a running job over to stream target of this client. There come jobAttached and adopted, or execFailed and closed",
    fields: { target: "u32", job: "text" },
  },
  jobScreen: {
    type: 0x45,
    about:
      "host to client, before adopted: the escape sequences for what the job has switched on in its terminal and not off",
    fields: { sequences: "text" },
  },
  jobAttached: {
    type: 0x44,
    about:
      "host to client, before adopted: where exec.log was then; what the job wrote before is in it. Generation 0: it cannot be written",
    fields: { generation: "u32", offsetBytes: "u64" },
  },
  execAdopt: {
    type: 0x48,
    about:
      "host to agent: the detached program of stream source goes on under this number. Answered by adopted, or by execFailed and closed",
    fields: { source: "u32" },
  },
  adopted: {
    type: 0x49,
    about:
      "agent to client: output flows with whole windows. See AdoptFlag; inputWindow is what may be sent to stdin at once",
    fields: { pid: "u32", flags: "u8", inputWindow: "u32" },
  },
  handedOver: {
    type: 0x4a,
    about: "agent to client: another client has adopted the program; closed follows",
    fields: {},
  },
} as const;
