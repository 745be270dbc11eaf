/** Answers to clients that ask for mounts. @module */
import assert from "node:assert/strict";
import { decodeMessage } from "../../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../../src/agent/frame.ts";
import type { RelayClient } from "../../../../src/vmm/host/relay_client.ts";
import { changeMounts } from "../../../../src/vmm/host/relay_mounts.ts";
import { test } from "../../../support/harness.ts";

test("changeMounts() answers with a problem that fits into a frame, however much of it a guest says", async () => {
  const answered = Promise.withResolvers<Uint8Array>();
  const client = {
    answerLater: (answer: () => Promise<Uint8Array>) => {
      answer().then(answered.resolve, answered.reject);
    },
  };
  const fail = async () => {
    throw new Error("\ufffd".repeat(60_000));
  };
  const message = { name: "mountRemove", stream: 0, flags: 0, fields: { token: 7, target: "/m" } } as const;
  changeMounts({ open: fail, remove: fail }, client as unknown as RelayClient, message);
  const [frame] = new FrameDecoder().feed(await answered.promise);
  const answer = frame === undefined ? undefined : decodeMessage(frame);
  assert.ok(answer?.name === "mountChanged");
  assert.equal(answer.fields.token, 7);
  assert.equal(answer.fields.problem, "\ufffd".repeat(2048));
});
