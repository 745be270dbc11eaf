/** A guest whose connections this process carries, with hooks: the agent in a network namespace, and its own programs. @module */
import assert from "node:assert/strict";
import { ClientEgress } from "../../../src/egress/client_egress.ts";
import type { HttpHooks } from "../../../src/egress/http/hooks.ts";
import { policyFromLists } from "../../../src/egress/policy/parse_rule.ts";
import type { ServerReport } from "../../../src/egress/server_report.ts";
import { configOf } from "../../support/egress/core.ts";
import {
  guestNetworkProblem as missing,
  runInGuest,
  startAgent,
} from "../../support/egress/guest_network.ts";
import { httpOrigin } from "../../support/egress/origin.ts";
import { test } from "../../support/harness.ts";

/** Sends a request for each "METHOD /path" and prints status and body. */
const REQUESTS = `
import http.client, sys
for line in sys.argv[1:]:
    method, path = line.split()
    connection = http.client.HTTPConnection("198.51.100.7", timeout=30)
    try:
        connection.request(method, path, headers={"X-From": "guest"})
        response = connection.getresponse()
        print(response.status, response.read().decode().strip())
    except OSError as error:
        print(type(error).__name__)
`;

const hooks: HttpHooks = {
  onRequest(request) {
    const { pathname } = new URL(request.url);
    if (request.method === "DELETE") return new Response("not from in here", { status: 403 });
    if (pathname === "/broken") throw new Error("words that are not for the guest");
    if (pathname !== "/header") return;
    const headers = new Headers(request.headers);
    headers.set("x-from", "hook");
    return new Request(request, { headers });
  },
  async onResponse(response, request) {
    if (!request.url.endsWith("/body")) return;
    return new Response((await response.text()).toUpperCase(), response);
  },
};

test(
  "hooks of this process rewrite, answer and block requests of a guest, and it tells what happens",
  async () => {
    await using origin = await httpOrigin((request, response) => {
      response.end(`${request.method} ${request.url} from ${request.headers["x-from"]}`);
    });
    const { client, exit } = await startAgent();
    const reports: ServerReport[] = [];
    const network = await ClientEgress.open({
      client,
      config: configOf(),
      hooks,
      report: async (report) => {
        reports.push(report);
      },
      route: () => ({ address: "127.0.0.1", port: origin.port }),
    });
    const ask = async (...requests: readonly string[]) => {
      const argv = ["/usr/bin/env", "python3", "-c", REQUESTS, ...requests];
      return (await runInGuest(client, argv)).stdout.trimEnd().split("\n");
    };
    const answers = await ask("GET /", "GET /header", "DELETE /", "GET /broken", "GET /body");
    assert.deepEqual(answers, [
      "200 GET / from guest",
      "200 GET /header from hook",
      "403 not from in here",
      "502 microsandbox: onRequest failed",
      "200 GET /BODY FROM GUEST",
    ]);

    // Other rules, and what is in force after an invalid change.
    const updated = await network.update({ policy: policyFromLists({ allow: ["10.0.0.1"] }, "network") });
    assert.equal(updated.servedBy, "client");
    assert.deepEqual(await ask("GET /"), ["ConnectionRefusedError"]);
    const withoutValue = {
      envVar: "KEY",
      placeholder: "$MSB_KEY",
      allowedHosts: [],
      allowedHostPatterns: [],
    };
    const secret = {
      ...withoutValue,
      allowAnyHost: true,
      requireTlsIdentity: true,
      injection: { headers: true, basicAuth: true, queryParams: false, body: false },
    };
    await assert.rejects(network.update({ secrets: [secret] }), /KEY has no value/);
    await network.update({ policy: configOf().policy });
    assert.deepEqual(await ask("DELETE /"), ["403 not from in here"]);

    client.close();
    await exit;
    const [first] = reports;
    assert.ok(first?.type === "serving" && first.rules.servedBy === "client");
    const flows = reports.flatMap((report) => (report.type === "flows" ? report.entries : []));
    assert.ok(flows.some(({ decision, detail }) => decision === "denied" && detail === "onRequest failed"));
    assert.ok(flows.some(({ endedAs, bytesIn }) => endedAs === "closed" && bytesIn > 0));
    assert.ok(!JSON.stringify(reports).includes("words that are not for the guest"));
    const totals = reports.flatMap((report) => ("traffic" in report ? [report.traffic] : [])).at(-1);
    assert.ok(totals !== undefined && totals.rxBytes > 100 && totals.txBytes > 100, JSON.stringify(totals));
  },
  { missing },
);

test(
  "a hook that never ends does not delay the end of the network",
  async () => {
    await using origin = await httpOrigin((_, response) => response.end());
    const { client, exit } = await startAgent();
    const isAsked = Promise.withResolvers<void>();
    const hasEnded = Promise.withResolvers<void>();
    await ClientEgress.open({
      client,
      config: configOf(),
      hooks: {
        onRequest() {
          isAsked.resolve();
          return new Promise<Response>(() => {});
        },
      },
      report: async ({ type }) => {
        if (type === "ended") hasEnded.resolve();
      },
      route: () => ({ address: "127.0.0.1", port: origin.port }),
    });
    const asking = runInGuest(client, ["/usr/bin/env", "python3", "-c", REQUESTS, "GET /"]);
    asking.catch(() => {}); // its connection is closed below
    await isAsked.promise;
    client.close();
    await hasEnded.promise;
    await exit;
  },
  { missing },
);
