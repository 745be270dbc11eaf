/** Labels: their bounds, those of an image, and labels as filters. @module */
import { z } from "zod";

const noNul = z.string().refine((text) => !text.includes("\0"), "must not contain a NUL byte");

type Labels = Readonly<Record<string, string>>;

/** Most labels of a sandbox. */
export const LABELS_MAX = 64;
/** Longest key, in UTF-16 code units. */
export const LABEL_KEY_LENGTH_MAX = 128;
/** Longest value, in UTF-16 code units. */
export const LABEL_VALUE_LENGTH_MAX = 1024;

/** Labels of a new thing. */
export const labelsSchema = z
  .record(noNul.min(1).max(LABEL_KEY_LENGTH_MAX), noNul.max(LABEL_VALUE_LENGTH_MAX))
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `must be at most ${LABELS_MAX}`);

/** Labels as a filter: nothing has more of them than this. */
export const wantedLabelsSchema = z
  .record(z.string(), z.string())
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `must be at most ${LABELS_MAX}`);

/** Whether `labels` has all of `wanted`. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}

/**
 * A sandbox's labels: the caller's, over those of its image. The image's author knows nothing of our bounds, so a label
 * of the image that no sandbox could have, or that there is no room for, is left out: the image starts all the same.
 */
export function withImageLabels(own: Labels, image: Labels): Labels {
  const added = Object.entries(image)
    .filter(([key, value]) => !Object.hasOwn(own, key) && isWithinBounds(key, value))
    .slice(0, LABELS_MAX - Object.keys(own).length);
  return { ...Object.fromEntries(added), ...own };
}

function isWithinBounds(key: string, value: string): boolean {
  const isKeyGood = key !== "" && key.length <= LABEL_KEY_LENGTH_MAX;
  return isKeyGood && value.length <= LABEL_VALUE_LENGTH_MAX && !`${key}${value}`.includes("\0");
}
