/** Ports as lists show them. @module */
import assert from "node:assert/strict";
import { formatPort } from "../../../src/cli/sandbox_table.ts";
import { test } from "../../support/harness.ts";

test("formatPort() says address, ports, and UDP", () => {
  const port = { protocol: "tcp", bind: "127.0.0.1", hostPort: 8080, guestPort: 80 } as const;
  assert.equal(formatPort(port), "127.0.0.1:8080->80");
  assert.equal(formatPort({ ...port, protocol: "udp", bind: "::1" }), "[::1]:8080->80/udp");
});
