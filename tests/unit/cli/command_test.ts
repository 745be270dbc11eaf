/** Command lines whose end is a program's own. @module */
import assert from "node:assert/strict";
import { ProgramCommand } from "../../../src/cli/command.ts";
import { test } from "../../support/harness.ts";

/** What `msb run`-like words come to. */
function parse(...words: string[]) {
  let seen: unknown;
  new ProgramCommand("run")
    .argument("<image>")
    .argument("[command...]")
    .option("-d, --detach")
    .option("-n, --name <name>")
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .action((image, command, flags) => {
      seen = [image, command.join(" "), flags];
    })
    .parse(words, { from: "user" });
  return seen;
}

test("ProgramCommand takes flags before the subject, and leaves the program's alone", () => {
  assert.deepEqual(parse("-d", "alpine", "ls", "-la", "-d"), ["alpine", "ls -la -d", { detach: true }]);
  assert.deepEqual(parse("alpine", "git", "log", "--", "x"), ["alpine", "git log -- x", {}]);
});

test("ProgramCommand takes flags behind the subject, too", () => {
  const flags = { detach: true, name: "box" };
  assert.deepEqual(parse("alpine", "-d", "--name", "box"), ["alpine", "", flags]);
  assert.deepEqual(parse("alpine", "-d", "--name=box", "ls", "-n"), ["alpine", "ls -n", flags]);
  assert.deepEqual(parse("-d", "alpine", "-n", "box", "--", "-x", "--"), ["alpine", "-x --", flags]);
});

test("ProgramCommand takes everything behind the first -- as it is", () => {
  assert.deepEqual(parse("alpine", "--", "-d"), ["alpine", "-d", {}]);
  assert.deepEqual(parse("alpine", "--", "sh", "-c", "a -- b"), ["alpine", "sh -c a -- b", {}]);
  assert.deepEqual(parse("alpine", "--"), ["alpine", "", {}]);
  assert.deepEqual(parse("--", "alpine", "ls"), ["alpine", "ls", {}]);
});

test("ProgramCommand refuses flags that there are not", () => {
  for (const words of [["--bogus", "alpine"], ["alpine", "--bogus"], ["alpine", "-d", "-x", "ls"], []])
    assert.throws(() => parse(...words), { name: "CommanderError" }, words.join(" "));
});
