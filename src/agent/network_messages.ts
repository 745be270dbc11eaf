/**
 * Messages about the guest's network in mode `user`: see `messages.ts`.
 *
 * A child of the agent has a TUN device with the default routes. The data of its stream consist of frames again, in the same
 * format, with a flow's number in place of a stream's. An accepted TCP flow has the messages and windows of a `tcpConnect`
 * stream: `tcpConnected`, stdin, stdout, `credit`, `stdinError`, `tcpFailed`, `close`, `closed`.
 *
 * @module
 */
import type { MessageDefinition } from "./messages.ts";

export const NETWORK_MESSAGES = {
  // ---- the guest's network, any stream but 0, one at a time: started and ended like a program. Addresses are 4 or 16 bytes
  networkOpen: {
    type: 0x70,
    about: "client to agent: opens the stream, with the guest's addresses and gateways",
    fields: {
      address: "text",
      prefixBits: "u8",
      gateway: "text",
      address6: "text",
      prefixBits6: "u8",
      gateway6: "text",
    },
  },
  networkReady: {
    type: 0x71,
    about: "inside, child to client, on flow 0, as the first frame; features: see NetworkFeature",
    fields: { features: "u8" },
  },
  flowRequest: {
    type: 0x72,
    about:
      "inside, child to client: the guest asks for this flow. protocol: see FlowProtocolCode; an echo has ports 0",
    fields: {
      protocol: "u8",
      source: "blob",
      sourcePort: "u16",
      destination: "blob",
      destinationPort: "u16",
    },
  },
  flowAccept: {
    type: 0x73,
    about: "inside, client to child: accepts a flow. TCP answers with tcpConnected or tcpFailed",
    fields: {},
  },
  flowRefuse: {
    type: 0x74,
    about:
      "inside, client to child: refuses a flow; reason: see FlowRefusalCode. Also ends an accepted flow of datagrams; answered by closed",
    fields: { reason: "u8" },
  },
  echo: {
    type: 0x75,
    about: "inside, both ways: the payload and sequence number of an echo request or reply",
    fields: { sequence: "u16", data: "bytes" },
  },

  // ---- default variables, stream 0: they name the certificates to trust
  environment: {
    type: 0x78,
    about: "host to agent: default variables of all programs, each NAME=value",
    fields: { variables: "texts" },
  },

  // ---- rules of the network, stream 0: between a client and the VM host process
  networkUpdate: {
    type: 0x76,
    about: "client to host: changes of the rules, as JSON in one or more parts; answered by networkUpdated",
    fields: { token: "u32", config: "bytes" },
  },
  networkUpdated: {
    type: 0x77,
    about:
      "host to client: why the change was refused; or an empty problem and the rules in force, as JSON in one or more parts, without keys and values of secrets",
    fields: { token: "u32", problem: "text", config: "bytes" },
  },
  networkReport: {
    type: 0x79,
    about:
      "client to host: a report of the client that carries the guest's connections, as JSON in one or more parts; answered by networkUpdated",
    fields: { token: "u32", report: "bytes" },
  },
} as const satisfies Readonly<Record<string, MessageDefinition>>;
