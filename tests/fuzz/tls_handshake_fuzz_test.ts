/**
 * Handshakes of a hostile guest, as far as the runtime's TLS gets with them: each ends in a connection or in an error that is
 * caught. One that is not caught would end the process.
 *
 * `MSB_EGRESS_HANDSHAKES` sets the number of inputs, `MSB_TEST_SEED` replays a run.
 */
import assert from "node:assert/strict";
import { Authority } from "../../src/egress/tls/authority.ts";
import { acceptTls } from "../../src/egress/tls/server_side.ts";
import { recordHello } from "../support/egress/hello_recorder.ts";
import { MemoryChannel } from "../support/egress/memory_channel.ts";
import { sandboxAuthority } from "../support/egress/origin.ts";
import { test } from "../support/harness.ts";
import { seededRandom } from "../support/random.ts";

const INPUTS = Number(process.env["MSB_EGRESS_HANDSHAKES"] ?? 150);
const TIMEOUT_MS = 1_200_000;

test(
  `acceptTls() ends in an error that is caught for ${INPUTS} damaged handshakes`,
  async () => {
    const hello = await recordHello((port) => [
      "openssl",
      ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "api.example", "-alpn", "h2,http/1.1"],
    ]);
    const authority = new Authority(sandboxAuthority);
    const random = seededRandom("handshake fuzz");
    const tails = [[], [random.bytes(50)], [Uint8Array.of(0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5)]];
    for (let input = 0; input < INPUTS; input++) {
      const bytes = new Uint8Array(hello);
      for (let left = random.integer(0, 4); left > 0; left--)
        bytes[random.integer(0, bytes.length - 1)]! ^= 1 << random.integer(0, 7);
      const first = bytes.subarray(
        0,
        random.integer(0, 6) === 0 ? random.integer(0, bytes.length) : bytes.length,
      );
      const context = authority.contextFor("api.example");
      const alpnProtocols = random.pick([[], ["http/1.1"], ["other"]]);
      const guest = new MemoryChannel(random.pick(tails));
      await assert.rejects(acceptTls(guest, { context, alpnProtocols, first }));
    }
  },
  { timeoutMs: TIMEOUT_MS },
);
