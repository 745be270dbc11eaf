/** Tells the image store which images the sandboxes and snapshots of a home use. @module */
import { registerImageUsage } from "../../image/store/image.ts";
import { SnapshotStore } from "../../snapshot/store.ts";
import { stateOf } from "./local_sandbox.ts";

registerImageUsage((home) => ({
  digestsInUse: async () => stateOf(home).imageDigestsInUse().union(new SnapshotStore(home).imageDigests()),
}));
