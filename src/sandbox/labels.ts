/** Labels as filters. @module */

type Labels = Readonly<Record<string, string>>;

/** Whether `labels` has all of `wanted`. */
export function hasLabels(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
