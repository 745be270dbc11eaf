/**
 * Hellos of a hostile guest. Whatever the bytes are, reading ends in one of four states, holds no more than its limit, and a
 * name that comes out is a host name.
 *
 * `MSB_EGRESS_FUZZ_INPUTS` sets the number of inputs, `MSB_TEST_SEED` replays a run.
 */
import assert from "node:assert/strict";
import { CLIENT_HELLO_BYTES_MAX, ClientHelloReader } from "../../src/egress/tls/client_hello.ts";
import { parseHostName } from "../../src/egress/tls/host_name.ts";
import { recordHello } from "../support/egress/hello_recorder.ts";
import { test } from "../support/harness.ts";
import { type SeededRandom, seededRandom } from "../support/random.ts";

const INPUTS = Number(process.env["MSB_EGRESS_FUZZ_INPUTS"] ?? 5000);
const TIMEOUT_MS = 1_200_000;

/** `bytes` with some of them changed, left out or doubled. Lengths are hit often, as they are the dangerous ones. */
function damage(random: SeededRandom, bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(bytes); // a copy: slice() of a Buffer shares its memory
  for (let left = random.integer(0, 5); left > 0; left--) {
    const at = random.integer(0, result.length - 1);
    switch (random.integer(1, 4)) {
      case 1:
        result[at]! ^= 1 << random.integer(0, 7);
        break;
      case 2:
        result[at] = random.pick([0, 1, 2, 0x16, 0x7f, 0xff]);
        break;
      case 3:
        result.copyWithin(at, random.integer(0, result.length - 1));
        break;
      default:
        return result.subarray(0, at);
    }
  }
  return result;
}

test(
  `ClientHelloReader ends in a state for ${INPUTS} damaged hellos`,
  async () => {
    const whole = await recordHello((port) => [
      "openssl",
      ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "api.example", "-alpn", "h2,http/1.1"],
    ]);
    const random = seededRandom("hello fuzz");
    const counts = { incomplete: 0, hello: 0, notTls: 0, invalid: 0 };
    for (let input = 0; input < INPUTS; input++) {
      const bytes = random.integer(0, 50) === 0 ? random.bytes(random.integer(0, 64)) : damage(random, whole);
      const cut = random.integer(0, bytes.length);
      const reader = new ClientHelloReader();
      reader.push(bytes.subarray(0, cut));
      const state = reader.push(bytes.subarray(cut));
      counts[state.kind]++;
      assert.ok(reader.bytes.length <= CLIENT_HELLO_BYTES_MAX);
      if (state.kind === "hello" && state.hello.serverName !== undefined)
        assert.equal(parseHostName(state.hello.serverName), state.hello.serverName);
    }
    const seen = Object.values(counts).filter((count) => count > 0);
    assert.equal(seen.length, INPUTS >= 1000 ? 4 : seen.length, JSON.stringify(counts));
  },
  { timeoutMs: TIMEOUT_MS },
);
