/** What `mod.ts` exports, by its text: types are not there at run time. @module */
import { readModule, withoutComments } from "./source_files.ts";

/** A name that programs can import. */
export interface ExportedName {
  readonly name: string;
  readonly isType: boolean;
}

/** All of them, in the order of the file. */
export function exportedNames(): ExportedName[] {
  const text = withoutComments(readModule("mod.ts"));
  return [...text.matchAll(/export (?<type>type )?\{(?<names>[^}]*)\}/g)].flatMap(({ groups }) =>
    (groups?.["names"] ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => ({
        name: name.replace(/^type /, "").replace(/^.* as /, ""),
        isType: groups?.["type"] !== undefined || name.startsWith("type "),
      })),
  );
}
