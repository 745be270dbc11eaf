/**
 * DNS messages of a hostile guest, and of a hostile resolver.
 *
 *     MSB_DNS_FUZZ_INPUTS=1000000 bun test tests/fuzz/egress_dns_test.ts
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Answer, decode, encode } from "dns-packet";
import { encodeQuery, encodeReply, parseQuery, parseReply, Rcode } from "../../src/egress/dns/message.ts";
import { test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";

const INPUTS = Number(process.env["MSB_DNS_FUZZ_INPUTS"] ?? 20_000);

const ANSWERS: readonly Answer[] = [
  { name: "a.example", type: "A", ttl: 1, data: "1.2.3.4" },
  { name: "a.example", type: "AAAA", ttl: 1, data: "2606:4700::1" },
  { name: "a.example", type: "CNAME", ttl: 1, data: "b.example" },
  { name: "a.example", type: "MX", ttl: 1, data: { preference: 1, exchange: "m.example" } },
  { name: "a.example", type: "TXT", ttl: 1, data: ["text", "more"] },
  { name: "a.example", type: "SRV", ttl: 1, data: { priority: 1, weight: 1, port: 1, target: "s.example" } },
  { name: "a.example", type: "CAA", ttl: 1, data: { flags: 0, tag: "issue", value: "ca.example" } },
  {
    name: "example",
    type: "SOA",
    ttl: 1,
    data: { mname: "n.example", rname: "r.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 },
  },
];

/** Bytes that are nearly a message: some changed, some cut, some added, labels made pointers. */
function mutated(random: SeededRandom, message: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(message);
  for (let count = random.integer(0, 4); count > 0; count--) {
    const at = random.integer(0, bytes.length - 1);
    bytes[at] = random.pick([0, 0xff, 0xc0, 0x3f, 0x40, 0x2e, random.integer(0, 255)]);
  }
  const action = random.integer(0, 5);
  if (action === 0) return bytes.subarray(0, random.integer(0, bytes.length));
  if (action === 1) return Uint8Array.from([...bytes, ...random.bytes(random.integer(1, 20))]);
  if (action === 2) return random.bytes(random.integer(0, 80));
  return bytes;
}

test(
  `parseQuery() and parseReply() take ${INPUTS} hostile messages each, and what they let through can be written`,
  () => {
    const random = seededRandom("DNS messages");
    const queries = ["a.example", "_svc._tcp.b.example", "1.1.1.1.in-addr.arpa", "x".repeat(63)].flatMap(
      (name) =>
        ["A", "AAAA", "UNKNOWN_65", "ANY"].map((type) =>
          encodeQuery(7, name, type, random.integer(0, 1) === 0),
        ),
    );
    const reply = (answers: readonly Answer[]): Uint8Array =>
      encode({
        type: "response",
        id: 7,
        flags: 0x0180,
        questions: [{ name: "a.example", type: "A", class: "IN" }],
        answers: [...answers],
      });
    const seen = { query: 0, error: 0, nothing: 0, reply: 0, answers: 0 };
    for (let count = 0; count < INPUTS; count++) {
      const parsed = parseQuery(mutated(random, random.pick(queries)));
      if (parsed === undefined) seen.nothing++;
      else if (parsed.query === undefined) {
        seen.error++;
        assert.equal(parsed.reply.length, 12);
      } else {
        seen.query++;
        const bytes = encodeReply(parsed.query, Rcode.noSuchName);
        assert.ok(bytes.length <= 512);
        const [question] = decode(Buffer.from(bytes)).questions ?? [];
        assert.equal(question?.name.toLowerCase(), parsed.query.name.toLowerCase().replace(/(.)\.$/, "$1"));
        if (parsed.query.host !== undefined) assert.match(parsed.query.host, /^[a-z0-9_.-]{1,253}$/);
      }
      const answers = Array.from({ length: random.integer(0, 3) }, () => random.pick(ANSWERS));
      const found = parseReply(mutated(random, reply(answers)), 7, "a.example", "A");
      if (found === undefined) continue;
      seen.reply++;
      seen.answers += found.answers.length;
      try {
        const query = { id: 1, name: "a.example", host: "a.example", type: "A", recursionDesired: true };
        encodeReply(
          { ...query, payloadBytes: 512, hasEdns: false },
          Rcode.ok,
          found.answers,
          found.authorities,
        );
      } catch (error) {
        assert.ok(error instanceof Error); // answered as a failure: see Responder.answer
      }
    }
    for (const [kind, count] of Object.entries(seen))
      assert.ok(count > INPUTS / 100, `${kind}: ${JSON.stringify(seen)}`);
  },
  { timeoutMs: 600_000 },
);
