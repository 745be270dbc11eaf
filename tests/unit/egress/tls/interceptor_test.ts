/** Interception, with curl, openssl and others as the programs of a guest. @module */
import assert from "node:assert/strict";
import { InterceptingListener } from "../../../support/egress/intercepting_listener.ts";
import { echoRequest, httpsOrigin, tlsConfig } from "../../../support/egress/origin.ts";
import { curl } from "../../../support/egress/programs.ts";
import { test } from "../../../support/harness.ts";

test("HttpInterceptor lets curl talk to a server, and signs for it", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using listener = await InterceptingListener.open({ tls: tlsConfig(), serverPort: origin.port });
  const { stdout, status } = await curl(listener, ["-v", "https://api.example/some/path?a=b"]);
  assert.equal(status, 200);
  assert.equal(JSON.parse(stdout).url, "/some/path?a=b");
  assert.deepEqual(listener.events, [{ kind: "name", name: "api.example" }]);
});
