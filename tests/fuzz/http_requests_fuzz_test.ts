/**
 * Requests of a hostile guest, held against the parser of Node.js. What ours accepts and writes again must mean the same to
 * it; and what both accept as it came must mean the same to both. So no request can be hidden in another.
 *
 * `MSB_EGRESS_FUZZ_INPUTS` sets the number of inputs, `MSB_TEST_SEED` replays a run.
 */
import assert from "node:assert/strict";
import {
  encodeHead,
  endToEnd,
  framingFields,
  type RequestHead,
  valuesOf,
} from "../../src/egress/http/message.ts";
import { MessageReader } from "../../src/egress/http/message_reader.ts";
import { MessageWriter } from "../../src/egress/http/message_writer.ts";
import { parseRequestHead } from "../../src/egress/http/parse_head.ts";
import { HttpProblem, malformed } from "../../src/egress/http/problem.ts";
import { requestTarget } from "../../src/egress/http/request_target.ts";
import { findProgram } from "../../src/platform/find_program.ts";
import { MemoryChannel } from "../support/egress/memory_channel.ts";
import { program } from "../support/egress/programs.ts";
import { test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";

const INPUTS = Number(process.env["MSB_EGRESS_FUZZ_INPUTS"] ?? 4000);
/** Inputs for one run of the other parser. */
const BATCH = 20_000;
const TIMEOUT_MS = 3_600_000;

const SEEDS = [
  "GET /a?b=c HTTP/1.1\r\nHost: a.example\r\n\r\n",
  "POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n",
  "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
  "PUT /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
];
/** What smuggling is made of. */
const PARTS = [
  "\r\n",
  "\n",
  "\r",
  " ",
  "\t",
  "\0",
  "\x0b",
  ":",
  ",",
  ";",
  "0\r\n\r\n",
  "\r\n ",
  "Content-Length: 5\r\n",
  "Content-Length: 3\r\n",
  "Content-Length : 4\r\n",
  "content-length:5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Transfer-Encoding:\tchunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Host: evil\r\n",
  "GET /x HTTP/1.1\r\n",
  "HTTP/1.1",
  "HTTP/1.0",
  "+",
  "-",
  "0x",
  "1",
  "ffffffffffffffff",
  "\xff",
  "é",
  "#",
  "http://evil/",
  "Connection: close\r\n",
];

/** What a message comes to. */
interface Meaning {
  readonly method: string;
  readonly url: string;
  readonly headers: string[];
  readonly body: string;
}

function mutated(random: SeededRandom): string {
  let text = random.pick(SEEDS);
  for (let left = random.integer(0, 4); left > 0; left--) {
    const at = random.integer(0, text.length);
    const cut = random.integer(0, 3) === 0 ? random.integer(1, 6) : 0;
    text = text.slice(0, at) + (random.integer(0, 2) === 0 ? "" : random.pick(PARTS)) + text.slice(at + cut);
  }
  return text;
}

/** What ours makes of a connection's bytes: complete requests, and the bytes that are sent on for them. */
async function ours(text: string): Promise<{ requests: Meaning[]; targets: string[]; rewritten: string }> {
  const reader = new MessageReader(MemoryChannel.of(text, 11), malformed);
  const out = new MemoryChannel([]);
  const requests: Meaning[] = [];
  const targets: string[] = [];
  let complete = "";
  try {
    for (let bytes = await reader.readHead(); bytes !== undefined; bytes = await reader.readHead()) {
      const head: RequestHead = parseRequestHead(bytes);
      const { path } = requestTarget(head, "http");
      const fields = [
        ...valuesOf(head.headers, "host").map((value) => ({ name: "Host", value })),
        ...endToEnd(head.headers, ["host", "content-length"]),
        ...framingFields(head.framing),
      ];
      using writer = new MessageWriter(
        out,
        head.framing,
        encodeHead(`${head.method} ${path} HTTP/1.1`, fields),
      );
      let body = "";
      for await (const piece of reader.readBody(head.framing)) {
        body += Buffer.from(piece).toString("latin1");
        await writer.write(piece);
      }
      await writer.finish();
      requests.push({ method: head.method, url: path, headers: flat(fields), body });
      targets.push(head.target);
      complete = out.text;
    }
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
  }
  return { requests, targets, rewritten: complete };
}

const flat = (fields: readonly { name: string; value: string }[]) =>
  fields.flatMap(({ name, value }) => [name, value]);

async function llhttp(messages: readonly string[]): Promise<{ requests: Meaning[]; error?: string }[]> {
  const file = new URL("../support/egress/llhttp_program.mjs", import.meta.url).pathname;
  const input = messages.map((text) => `${Buffer.from(text, "latin1").toString("base64")}\n`).join("");
  const { stdout } = await program("node", ["--no-deprecation", file], { input });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

/** Methods that llhttp knows; it refuses most others, and bytes above 0x7f in a target. */
const KNOWN = new Set(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]);

test(
  `requests mean the same to the proxy and to llhttp in ${INPUTS} inputs`,
  async () => {
    const random = seededRandom("http fuzz");
    let accepted = 0;
    for (let done = 0; done < INPUTS; done += BATCH) {
      const inputs = Array.from({ length: Math.min(BATCH, INPUTS - done) }, () => mutated(random));
      const own = await Promise.all(inputs.map(ours));
      const asSent = await llhttp(own.map(({ rewritten }) => rewritten));
      const asCame = await llhttp(inputs);
      for (const [index, { requests, targets }] of own.entries()) {
        if (requests.some(({ method, url }) => !KNOWN.has(method) || /[\x80-\xff]/.test(url))) continue;
        accepted += requests.length;
        const shown = JSON.stringify(inputs[index]);
        assert.deepEqual(asSent[index]?.requests, requests, `sent on: ${shown}`);
        const seen = (asCame[index]?.requests ?? []).slice(0, requests.length).map(meaningOf);
        // Where llhttp refuses, it may have seen fewer; it must not have seen others.
        const came = requests.map((request, number) => ({ ...request, url: targets[number]! }));
        assert.deepEqual(seen, came.slice(0, seen.length).map(meaningOf), `as it came: ${shown}`);
      }
    }
    assert.ok(accepted > INPUTS / 4, `only ${accepted} requests were accepted`);
  },
  { timeoutMs: TIMEOUT_MS, missing: findProgram("node") === undefined ? "no node in PATH" : undefined },
);

function meaningOf({ method, url, body }: Meaning): object {
  return { method, url, body };
}
