/**
 * `Image`, told which images the sandboxes and snapshots of a home use.
 *
 * @module
 */

import { stateOf } from "../backend/local/local_sandbox.ts";
import { registerImageUsage } from "../image/store/image.ts";
import { SnapshotStore } from "../snapshot/store.ts";

registerImageUsage((home) => ({
  digestsInUse: async () => stateOf(home).imageDigestsInUse().union(new SnapshotStore(home).imageDigests()),
}));

export {
  Image,
  type ImageArchiveFormat,
  type ImageBuildLimits,
  type ImageConfigDetail,
  type ImageDetail,
  type ImageHandle,
  type ImageLayerDetail,
  type ImageLoadOptions,
  type ImageOptions,
  type ImagePruneReport,
  type ImagePullOptions,
  type ImageRemoveOptions,
  type ImageSaveOptions,
} from "../image/store/image.ts";
