/** A shared directory while somebody swaps what is in it, and by the system calls that serving it takes. @module */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { attempts, SECRET, SharedDirectory, WAYS } from "../../support/mount/shared_directory.ts";
import { seededRandom } from "../../support/random.ts";

const SWAP = fileURLToPath(new URL("../../support/mount/swap_links.py", import.meta.url));
const SERVE = fileURLToPath(new URL("../../support/mount/traced_main.ts", import.meta.url));
const ATTEMPTS = 4000;

const isThere = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
const isLinux = process.platform === "linux";
const noPython =
  isLinux && isThere("python3", "-c", "") ? undefined : "needs python3 and Linux to swap links";
const noStrace = isLinux && isThere("strace", "-o", "/dev/null", "true") ? undefined : "needs strace";

for (const [way, hasOpenat2] of WAYS) {
  test(
    `DirectoryProvider (${way}) is not led out by links that are swapped meanwhile`,
    async () => {
      const random = seededRandom("swapped links");
      using shared = await SharedDirectory.open(hasOpenat2);
      const { inside, outside, provider } = shared;
      // What is removed or renamed by the attempts is missing from then on: they are made of what is not.
      symlinkSync(outside, join(inside, "link"));
      writeFileSync(join(inside, "file"), "of the guest");
      symlinkSync(join(outside, "secret"), join(inside, "toSecret"));
      const before = shared.outsideState();
      const names = ["real", "link", "file", "toSecret"].map((name) => join(inside, name));
      const child = spawn("python3", [SWAP, ...names], { stdio: ["pipe", "pipe", "inherit"] });
      let output = "";
      const started = new Promise<void>((resolve) =>
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          output += text;
          resolve();
        }),
      );
      const ended = new Promise((resolve) => child.once("close", resolve));
      await started;
      const outcomes = new Set<string>();
      try {
        for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
          const path = random.pick(["/real", "/real/secret", "/real/secret", "/file"]);
          const all = attempts(provider, path, `/fresh${attempt}`);
          const action = random.pick(
            Object.keys(all).filter((name) => !/^remove(File|Dir)|rename|exchange/.test(name)),
          );
          try {
            const result = all[action]?.();
            assert.notEqual(result, SECRET);
            outcomes.add("done");
          } catch (error) {
            outcomes.add((error as { code?: string }).code ?? String(error));
          }
        }
      } finally {
        child.stdin.end("end");
        await ended;
      }
      assert.ok(Number(output.split("\n")[1]) > 100, "links were swapped meanwhile");
      assert.ok(outcomes.has("done") && outcomes.has("ENOTDIR"), [...outcomes].join(" "));
      assert.equal(shared.outsideState(), before);
    },
    { missing: noPython },
  );

  test(
    `DirectoryProvider (${way}) makes no system call that names anything but what is below its root`,
    () => {
      using directory = temporaryDirectory();
      const trace = join(directory.path, "trace");
      const command = "Deno" in globalThis ? ["run", "-A", "--no-check", SERVE] : ["run", SERVE];
      const all = ["-f", "-y", "-s", "300", "-e", "trace=%file,openat2,fchmod,fchown", "-o", trace];
      const { status, stderr } = spawnSync(
        "strace",
        [...all, process.execPath, ...command, String(hasOpenat2)],
        {
          encoding: "utf8",
        },
      );
      assert.equal(status, 0, stderr);
      const lines = readFileSync(trace, "utf8").split("\n");
      const [from, to] = ["traced-begin", "traced-end"].map((mark) =>
        lines.findIndex((line) => line.includes(mark)),
      );
      assert.ok(from !== undefined && to !== undefined && from >= 0 && to > from, "both marks are there");
      const root = /traced-begin:([^"?]+)/.exec(lines[from] ?? "")?.[1] ?? "";
      const own = lines.slice(from + 1, to).filter((line) => line.includes(root));
      assert.ok(own.length > 100);
      for (const line of lines.slice(from + 1, to)) {
        assert.doesNotMatch(line, /= \d+<[^>]*\/outside/, "what was opened");
        assert.doesNotMatch(line, /\(\d+<[^>]*\/outside/, "what was worked in");
        if (line.includes("openat2(") && line.includes(root)) assert.match(line, /RESOLVE_BENEATH/);
        const opened = /openat2?\((?:AT_FDCWD|\d+)<([^>]+)>.*= \d+<([^>]+)>/.exec(line);
        if (opened?.[1]?.startsWith(root)) assert.ok(opened[2]?.startsWith(root), line);
      }
    },
    { missing: noStrace },
  );
}
