/**
 * Messages about the guest's way out: see `messages.ts`.
 *
 * A child of the agent has a TUN device and the routes to everywhere. Its stream carries frames inside its data, of the same
 * form as those outside, under the numbers of flows. A TCP flow that was accepted has what a stream of `tcpConnect` has, windows
 * included: `tcpConnected`, stdin, stdout, `credit`, `stdinError`, `tcpFailed`, `close`, `closed`.
 *
 * @module
 */
import type { MessageDefinition } from "./messages.ts";

export const NETWORK_MESSAGES = {
  // ---- the guest's way out, any stream but 0, one at a time: started and ended as a program is. Addresses are 4 or 16 bytes
  networkOpen: {
    type: 0x70,
    about: "client to agent: opens the stream. The guest's addresses, and its gateways",
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
    about: "inside, child to client, flow 0, first: see NetworkFeature",
    fields: { features: "u8" },
  },
  flowRequest: {
    type: 0x72,
    about:
      "inside, child to client: the guest wants this flow; see FlowProtocolCode. Of an echo the ports are 0",
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
    about: "inside, client to child: lets a flow in. For TCP answered by tcpConnected or tcpFailed",
    fields: {},
  },
  flowRefuse: {
    type: 0x74,
    about:
      "inside, client to child: see FlowRefusalCode. Also of datagrams that were let in; answered by closed",
    fields: { reason: "u8" },
  },
  echo: {
    type: 0x75,
    about: "inside, either way: payload and number of an echo request, or of its reply",
    fields: { sequence: "u16", data: "bytes" },
  },

  // ---- where the guest finds what it is to trust, stream 0
  environment: {
    type: 0x78,
    about: "host to agent: variables, as NAME=value, of each program that has none of that name",
    fields: { variables: "texts" },
  },

  // ---- its rules, stream 0: a client tells the VM host process
  networkUpdate: {
    type: 0x76,
    about:
      "client to host: what of the rules is to be another way, as JSON, in as many parts as it takes; answered by networkUpdated",
    fields: { token: "u32", config: "bytes" },
  },
  networkUpdated: {
    type: 0x77,
    about:
      "host to client: why not, or an empty problem and what is in force, without keys and values of secrets, as JSON in as many parts as it takes",
    fields: { token: "u32", problem: "text", config: "bytes" },
  },
  networkReport: {
    type: 0x79,
    about:
      "client to host: what a client that carries the guest's connections itself has to tell, as JSON, in as many parts as it takes; answered by networkUpdated",
    fields: { token: "u32", report: "bytes" },
  },
} as const satisfies Readonly<Record<string, MessageDefinition>>;
