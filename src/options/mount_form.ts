/**
 * Which kind of mount an object asks for.
 *
 * @module
 */
import { z } from "zod";

/** What a mount can be given as. */
export const MOUNT_FORMS =
  "must be a path, { bind: path, … }, { tmpfs: true, … }, { disk: path, … } or { volume: name, … }";
const KINDS = ["bind", "tmpfs", "disk", "volume"] as const;

/** No form fits best if an object names no kind, or several. */
export const oneKind = z.unknown().superRefine((value, context) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return;
  const kinds = KINDS.filter((kind) => Object.hasOwn(value, kind));
  if (kinds.length > 1)
    context.addIssue({ code: "custom", message: `must have only one of ${kinds.join(", ")}` });
  if (Object.keys(value).length === 0) context.addIssue({ code: "custom", message: MOUNT_FORMS });
});
