/**
 * `Image`, told which images the sandboxes of a home use.
 *
 * @module
 */
import { registerImageUsage } from "../image/store/image.ts";
import { registryOf } from "./core.ts";

registerImageUsage((home) => ({
  digestsInUse: async () => registryOf(home).imageDigestsInUse(),
}));

export {
  Image,
  type ImageArchiveFormat,
  type ImageDetail,
  type ImageHandle,
  type ImageLayer,
  type ImageLoadOptions,
  type ImageOptions,
  type ImagePullOptions,
  type ImageRemoveOptions,
  type ImageSaveOptions,
  type PruneReport,
} from "../image/store/image.ts";
