import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { packagedFile, readAsset } from "../../../src/platform/asset.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const PATH = "src/vmm/host/start.ts";
const SOURCES = fileURLToPath(new URL("../../../src/", import.meta.url));

/** A project in which the package is installed, and a place for a bundle in it. */
function project() {
  const directory = temporaryDirectory();
  const root = realpathSync(directory.path);
  const installed = join(root, "node_modules/microsandbox", PATH);
  mkdirSync(dirname(installed), { recursive: true });
  writeFileSync(installed, 'console.log("started", process.argv[2]);');
  return { root, installed, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

test("packagedFile() leaves what is there, and what Deno loads from the network", () => {
  const own = pathToFileURL(`${SOURCES}platform/asset.ts`);
  assert.equal(packagedFile(own, PATH), own);
  const remote = new URL("https://jsr.io/@microsandbox/microsandbox/src/x.ts");
  assert.equal(packagedFile(remote, PATH), remote);
});

test("packagedFile() finds the installed package for a bundle", () => {
  using it = project();
  const bundle = pathToFileURL(join(it.root, "dist/deep/bundle.js")).href;
  const find = () => packagedFile(new URL("../host/start.ts", bundle), PATH, bundle);
  assert.equal(find().href, pathToFileURL(it.installed).href);
  chmodSync(dirname(it.installed), 0o777);
  assert.throws(find, { code: "untrustedPath" });
});

test("packagedFile() says what a bundle lacks", () => {
  using directory = temporaryDirectory();
  const bundle = pathToFileURL(join(directory.path, "bundle.js")).href;
  assert.throws(() => packagedFile(new URL("../../guest/agent", bundle), "guest/agent", bundle), {
    code: "unsupported",
    message: /guest\/agent/,
    hint: /install microsandbox/,
  });
});

test("readAsset() reads a file of this package", async () => {
  const url = new URL("../../../package.json", import.meta.url);
  assert.match(new TextDecoder().decode(await readAsset(url, "package.json")), /"microsandbox"/);
});

test(
  "a program made by `bun build --compile` runs modules of the package that is installed beside it",
  () => {
    using it = project();
    const main = join(it.root, "main.ts");
    writeFileSync(
      main,
      `import { spawnSync } from "node:child_process";
       import { packagedFile } from ${JSON.stringify(`${SOURCES}platform/asset.ts`)};
       import { runtimeCommand, runtimeEnvironment } from ${JSON.stringify(`${SOURCES}platform/runtime.ts`)};
       const module = packagedFile(new URL("./host/start.ts", import.meta.url), ${JSON.stringify(PATH)});
       const { file, args } = runtimeCommand(module);
       const { stdout, stderr } = spawnSync(file, [...args, "it"], { env: runtimeEnvironment(), cwd: "/" });
       console.log(file === process.execPath, String(stdout), String(stderr));`,
    );
    const program = join(it.root, "program");
    const bundle = ["build", "--compile", "--outfile", program, main];
    const built = spawnSync(process.execPath, bundle, { cwd: it.root, encoding: "utf8" });
    assert.equal(built.status, 0, built.stderr);
    const { stdout, stderr } = spawnSync(program, { cwd: "/", encoding: "utf8" });
    assert.equal(stdout.trim(), "true started it", stderr);
  },
  { skip: "Bun" in globalThis ? undefined : "compiles with Bun" },
);
