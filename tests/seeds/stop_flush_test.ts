/**
 * Port of the known SDK's `stop_flush.rs`: a graceful stop flushes the guest's writes before the VM ends. Names are kept.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { discard, homeTest } from "../support/vm/vm.ts";

const MARKER_PATH = "/root/test-marker";
const MARKER_VALUE = "hello-705";

/** Write a marker, stop gracefully with no explicit `sync`, start again, read the marker back. */
homeTest("graceful_stop_flushes_writes_to_rootfs", async ({ image }) => {
  const name = "stop-flush-705";
  const sb = await Sandbox.builder(name).image(image).cpus(1).memory(256).replace().create();

  const write = await sb.exec("sh", ["-c", `printf '${MARKER_VALUE}' > ${MARKER_PATH}`]);
  assert.ok(write.status.success, `stdout=${write.stdout()} stderr=${write.stderr()}`);

  // The next stop goes by a handle, as a command-line tool's would, not by the owner that lets go.
  await sb.detach();
  const handle = await Sandbox.get(name);
  await handle.stop();

  const restarted = await (await Sandbox.get(name)).start();
  const read = await restarted.exec("cat", [MARKER_PATH]);
  await restarted.stopAndWait();
  await discard(name);

  assert.ok(read.status.success, `stdout=${read.stdout()} stderr=${read.stderr()}`);
  assert.equal(read.stdout().trim(), MARKER_VALUE);
});
