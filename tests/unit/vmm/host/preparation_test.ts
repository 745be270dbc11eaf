/** The creator's time alone with its guest, over a real agent. @module */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AgentClient } from "../../../../src/agent/client.ts";
import { CallLimit } from "../../../../src/base/wait.ts";
import { prepareGuest } from "../../../../src/vmm/host/preparation.ts";
import { RunFile } from "../../../../src/vmm/run_directory/run_directory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { FakeHost, script } from "../../../support/host/in_process_host.ts";

test(
  "prepareGuest() lets in the creator alone, and others once it is done",
  async () => {
    using directory = temporaryDirectory();
    await using host = await FakeHost.listen();
    const path = join(directory.path, RunFile.prepare);
    const order: string[] = [];
    const other = host.connect().then((client) => {
      order.push("other");
      return client;
    });
    await host.bootGuest(async (relay, service) => {
      const done = Promise.withResolvers<void>();
      const invited = Promise.withResolvers<void>();
      using limit = new CallLimit({ action: "preparing" });
      const prepared = prepareGuest(
        { runDirectory: directory.path, relay, service, invite: invited.resolve, done: done.promise },
        limit,
      );
      await invited.promise;
      const creator = await AgentClient.connect(path);
      assert.deepEqual(await creator.startExec(script("exit 3")).exited, { code: 3, signal: undefined });
      assert.ok(!existsSync(path), "one creator is enough");
      order.push("creator");
      creator.close();
      done.resolve();
      await prepared;
    });
    assert.ok((await (await other).ping()) >= 0);
    assert.deepEqual(order, ["creator", "other"]);
  },
  { skip: nativeAgentProblem },
);

test(
  "prepareGuest() gives up when its limit is reached, whether the creator has come or not",
  async () => {
    await using host = await FakeHost.listen();
    await host.bootGuest(async (relay, service) => {
      for (const comes of [false, true]) {
        using directory = temporaryDirectory();
        const path = join(directory.path, RunFile.prepare);
        const abort = new AbortController();
        using limit = new CallLimit({ action: "preparing", signal: abort.signal });
        const invited = Promise.withResolvers<void>();
        const never = new Promise<void>(() => {});
        const gaveUp = assert.rejects(
          prepareGuest(
            { runDirectory: directory.path, relay, service, invite: invited.resolve, done: never },
            limit,
          ),
          { code: "aborted" },
        );
        await invited.promise;
        const creator = comes ? await AgentClient.connect(path) : undefined;
        abort.abort();
        await gaveUp;
        assert.ok(!existsSync(path));
        creator?.close();
      }
    });
  },
  { skip: nativeAgentProblem },
);
