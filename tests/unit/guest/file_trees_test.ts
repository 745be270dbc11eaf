/** Requests of a file session about trees: walking, removing, copying, watching. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileChange, FileFlag } from "../../../src/agent/file_messages.ts";
import { contentOf, FileRequests, pathOf } from "../../support/guest/file_requests.ts";
import { NativeAgent, nativeAgentProblem, processEnd } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const skip = nativeAgentProblem;

const ENOENT = 2;
const EISDIR = 21;
const EINVAL = 22;
const ENOTEMPTY = 39;

test(
  "walk tells holes, links and what it cannot read, and content of a sparse file of 8 TiB takes no time",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    mkdirSync(join(directory.path, "d/e"), { recursive: true });
    writeFileSync(join(directory.path, "sparse"), "start");
    truncateSync(join(directory.path, "sparse"), 8 * 2 ** 40);
    writeFileSync(join(directory.path, "d/e/leaf"), "leaf");
    symlinkSync("/etc/passwd", join(directory.path, "d/link"));
    spawnSync("mkfifo", [join(directory.path, "d/fifo")]);
    const files = await FileRequests.open(agent, 1);
    const walk = { path: pathOf(directory.path), flags: FileFlag.content, depthMax: 0 };
    const answers = await files.call("walk", walk);
    const seen = new Map<string, string[]>();
    let current: string[] = [];
    for (const answer of answers) {
      if (answer.name === "entry") {
        current = [];
        seen.set(Buffer.from(answer.fields.path).toString(), current);
      } else current.push(answer.name === "hole" ? `hole ${answer.fields.size}` : answer.name);
    }
    assert.deepEqual([...seen.keys()].sort(), ["", "d", "d/e", "d/e/leaf", "d/fifo", "d/link", "sparse"]);
    assert.match(String(seen.get("sparse")), /^data,hole 87960930\d+/);
    assert.equal(answers.at(-1)?.name, "done");
    const shallow = await files.call("walk", { ...walk, flags: 0, depthMax: 1 });
    assert.equal(shallow.filter(({ name }) => name === "entry").length, 3);
    const one = await files.call("walk", { ...walk, path: pathOf(join(directory.path, "d/e/leaf")) });
    assert.equal(contentOf(one), "leaf");
  },
  { skip },
);

test(
  "remove and walk take trees that are deeper than any path is long",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const script = 'for (1..500) { mkdir "a-deep-one" or die $!; chdir "a-deep-one" or die $! }';
    const made = spawnSync("perl", ["-e", script], { cwd: directory.path, encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const walked = await files.call("walk", { path: pathOf("."), flags: 0, depthMax: 0 });
    assert.ok(walked.some(({ name }) => name === "unread")); // below PATH_MAX all of it, then that there is more
    assert.equal(await files.errno("remove", { path: pathOf("a-deep-one"), flags: 0 }), ENOTEMPTY);
    assert.equal(await files.errno("remove", { path: pathOf("a-deep-one"), flags: FileFlag.recursive }), 0);
    assert.deepEqual(readdirSync(directory.path), []);
  },
  { skip },
);

test(
  "copy never copies a directory into itself",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    mkdirSync(join(directory.path, "a/b"), { recursive: true });
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const flags = FileFlag.recursive;
    assert.equal(await files.errno("copy", { from: pathOf("a"), to: pathOf("a/b/c"), flags }), EINVAL);
    assert.equal(await files.errno("copy", { from: pathOf("a"), to: pathOf("x"), flags: 0 }), EISDIR);
  },
  { skip },
);

test(
  "watch tells of every change below a directory, of new directories too, and ends when what it watches is gone",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const root = join(directory.path, "root");
    mkdirSync(join(root, "sub"), { recursive: true });
    const files = await FileRequests.open(agent, 1);
    files.send("watch", { path: pathOf(root), flags: FileFlag.recursive });
    assert.equal((await files.next())?.name, "opened");
    const script = `echo 1 > a; echo 2 > sub/b; mkdir -p new/deep; echo 3 > new/deep/c; mv a sub/a; mv sub moved; echo 4 > moved/d; rm moved/b; mkdir out; mv out ../out; echo 5 > ../out/e; rm -r ../root`;
    assert.equal(spawnSync("sh", ["-c", script], { cwd: root }).status, 0);
    const kinds = Object.fromEntries(Object.entries(FileChange).map(([name, kind]) => [kind, name]));
    const seen: string[] = [];
    for (;;) {
      const answer = await files.next();
      if (answer === undefined || answer.name === "done") break;
      assert.equal(answer.name, "change");
      if (answer.name === "change")
        seen.push(`${kinds[answer.fields.kind]} ${Buffer.from(answer.fields.path).toString()}`);
    }
    for (const expected of [
      "created a",
      "modified a",
      "created sub/b",
      "created new",
      "created new/deep",
      "created new/deep/c",
      "movedFrom a",
      "movedTo sub/a",
      "movedFrom sub",
      "movedTo moved",
      "created moved/d",
      "removed moved/b",
      "movedFrom out",
      "gone ",
    ])
      assert.ok(seen.includes(expected), `${expected} is missing of:\n${seen.join("\n")}`);
    assert.ok(!seen.some((change) => change.endsWith("/e")), seen.join("\n"));
    await processEnd(files.pid);
  },
  { skip },
);

test(
  "watch ends with its client while nothing changes",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const files = await FileRequests.open(agent, 1);
    assert.equal(await files.errno("watch", { path: pathOf("/nowhere"), flags: 0 }), ENOENT);
    files.send("watch", { path: pathOf(directory.path), flags: 0 });
    assert.equal((await files.next())?.name, "opened");
    agent.send("close", 1, {});
    await processEnd(files.pid);
  },
  { skip },
);
