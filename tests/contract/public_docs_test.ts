/** Every public name and member has a doc comment. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { test } from "../support/harness.ts";
import { ROOT } from "./source_files.ts";

/** What `deno doc --json` says of a name, as far as we look at it. */
interface Documented {
  readonly name: string;
  readonly jsDoc?: { readonly doc?: string; readonly tags?: readonly { readonly kind: string }[] };
}
interface Member extends Documented {
  readonly accessibility?: string;
}
interface Declaration extends Documented {
  readonly kind: string;
  readonly def?: { readonly properties?: readonly Member[]; readonly methods?: readonly Member[] };
}
interface DocOutput {
  readonly nodes: Readonly<
    Record<
      string,
      {
        readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[];
      }
    >
  >;
}

/** Far more than the 1 MB that the output has. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

test("every exported name, and every member of it, has a doc comment", () => {
  assert.deepEqual(undocumented(readDocs()), [], "these names need a doc comment");
});

test("undocumented() finds names and members without a comment, and passes over private and inherited ones", () => {
  const said = { doc: "Says it." };
  const declarations: Declaration[] = [
    {
      name: "",
      kind: "class",
      def: {
        properties: [
          { name: "open" },
          { name: "said", jsDoc: said },
          { name: "hidden", accessibility: "private" },
          { name: "[Symbol.asyncDispose]" },
          { name: "legacy", jsDoc: { tags: [{ kind: "inheritDoc" }] } },
        ],
        methods: [{ name: "run", jsDoc: { doc: " " } }],
      },
    },
  ];
  const other: Declaration = { name: "", kind: "reference" };
  const output = {
    nodes: {
      "mod.ts": {
        symbols: [
          { name: "Thing", declarations },
          { name: "Alias", declarations: [other] },
        ],
      },
    },
  };
  assert.deepEqual(undocumented(output), ["Thing", "Thing.open", "Thing.run"]);
});

function readDocs(): DocOutput {
  const path = [join(ROOT, "node_modules/.bin"), process.env["PATH"]].join(delimiter);
  const output = execFileSync("deno", ["doc", "--json", "mod.ts"], {
    cwd: ROOT,
    encoding: "utf8",
    env: { ...process.env, PATH: path },
    maxBuffer: OUTPUT_BYTES_MAX,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return JSON.parse(output) as DocOutput;
}

function undocumented({ nodes }: DocOutput): string[] {
  const symbols = Object.values(nodes).flatMap((node) => node.symbols);
  const names = symbols.flatMap(({ name, declarations }) =>
    declarations.flatMap((declaration) => {
      // Another name for an export is documented where that is.
      if (declaration.kind === "reference") return [];
      const { properties = [], methods = [] } = declaration.def ?? {};
      const members = [...properties, ...methods].filter(isOwnAndPublic).filter(isBare);
      return [...(isBare(declaration) ? [name] : []), ...members.map((member) => `${name}.${member.name}`)];
    }),
  );
  return [...new Set(names)].sort();
}

/** Members named by a well-known symbol do what the language says of them. */
function isOwnAndPublic({ name, accessibility, jsDoc }: Member): boolean {
  const isHidden = accessibility === "private" || accessibility === "protected";
  const isInherited = jsDoc?.tags?.some(({ kind }) => kind === "inheritDoc" || kind === "internal") ?? false;
  return !isHidden && !isInherited && !name.startsWith("[") && !name.startsWith("#");
}

function isBare({ jsDoc }: Documented): boolean {
  return (jsDoc?.doc ?? "").trim() === "";
}
