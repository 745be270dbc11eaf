/**
 * Says once why programs find no network: a sandbox has none unless it asks for one, which users of other sandboxes do not expect,
 * and what programs write about it never says.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Bytes } from "../../base/bytes.ts";
import { OutputTail } from "./output_lines.ts";

/** Where failures are told. `pip` writes 2 KiB about its attempts, and then what it could not install. */
const TAIL_BYTES = 8192;

/** What libraries and programs say where there is no network: glibc, apt, curl and git, wget, BusyBox, musl, apk, Node.js, Go. */
const COMPLAINTS: RegExp = new RegExp(
  [
    "temporary failure in name resolution",
    "temporary failure resolving",
    "name or service not known",
    "name does not resolve",
    "could not resolve host",
    "unable to resolve host",
    "bad address '",
    "DNS: transient error",
    "getaddrinfo (?:EAI_AGAIN|ENOTFOUND)",
    "dial tcp: lookup ",
    "network is unreachable",
    "ENETUNREACH",
  ].join("|"),
  "i",
);

/** Once in a process is enough to know. */
let isTold = false;

/** Whether a program that wrote this has looked for a network, and found none. */
export function missesNetwork(text: string): boolean {
  return COMPLAINTS.test(text);
}

/** Watches the output of one program in a sandbox that has no network. */
export class MissingNetwork {
  readonly #sandbox: string;
  readonly #tail = new OutputTail(TAIL_BYTES);

  /** @param sandbox Its name. */
  constructor(sandbox: string) {
    this.#sandbox = sandbox;
  }

  /** Takes what the program wrote where it tells of failures: standard error, or its terminal. */
  add(data: Bytes): void {
    if (!isTold) this.#tail.add(data);
  }

  /** The program has ended: `apt-get update` is content with having found nothing, so that no exit code tells. */
  end(): void {
    if (isTold || !missesNetwork(new TextDecoder().decode(this.#tail.bytes))) return;
    isTold = true;
    // A terminal that shows the program is given back first.
    setImmediate(() => {
      process.emitWarning(
        `a program looked for a network, and the sandbox ${JSON.stringify(this.#sandbox)} has none: ` +
          'create it with network: "user", or { allow: […] }',
        { code: "MSB_NO_NETWORK" },
      );
    });
  }
}
