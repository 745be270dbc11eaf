/** `Image`, as users see it. @module */
import "../backend/local/image_usage.ts";

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
  type ImagePruneOptions,
  type ImagePruneReport,
  type ImagePullOptions,
  type ImageRemoveOptions,
  type ImageSaveOptions,
} from "../image/store/image.ts";
export type { PullPolicy } from "../image/store/pull.ts";
