/** The packed project, installed in an empty directory as the README says, boots a sandbox on both runtimes. @module */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pack } from "../../scripts/pack.ts";
import { ROOT, readModule } from "../contract/source_files.ts";
import { vmTest } from "../support/harness.ts";
import { imageProblem } from "../support/vm/images.ts";
import { runProgram } from "./run_sample.ts";
import { withSampleHome } from "./sample_home.ts";
import { samplesOfPage } from "./samples.ts";

vmTest(
  "the package runs the README's first program on Bun, from node_modules",
  () =>
    withSampleHome(async (home) => {
      const project = unpackInto(join(home.cwd, "bun"));
      linkPackages(project.path);
      renameSync(project.unpacked, join(project.path, "node_modules", "microsandbox"));
      await runFirstProgram(project.path, home, "bun");
    }),
  { missing: imageProblem },
);

vmTest(
  "the package runs the README's first program on Deno, unpacked beside it",
  () =>
    withSampleHome(async (home) => {
      const project = unpackInto(join(home.cwd, "deno"));
      linkPackages(project.unpacked);
      renameSync(project.unpacked, join(project.path, "microsandbox"));
      // With "manual" Deno takes what is in node_modules. The README leaves it out; then Deno asks the registry.
      const config = { nodeModulesDir: "manual", imports: { microsandbox: "./microsandbox/mod.ts" } };
      writeFileSync(join(project.path, "deno.json"), JSON.stringify(config));
      await runFirstProgram(project.path, home, "deno");
    }),
  { missing: imageProblem },
);

function unpackInto(path: string): { path: string; unpacked: string } {
  mkdirSync(path);
  execFileSync("tar", ["-xzf", pack(path), "-C", path]);
  return { path, unpacked: join(path, "package") };
}

/** What a package manager would install, by links to what this checkout has: no registry is asked. */
function linkPackages(project: string): void {
  const target = join(project, "node_modules");
  mkdirSync(target);
  const source = join(ROOT, "node_modules");
  for (const name of readdirSync(source)) symlinkSync(join(source, name), join(target, name));
}

async function runFirstProgram(
  project: string,
  { cwd, home }: { readonly cwd: string; readonly home: string },
  runtime: "bun" | "deno",
): Promise<void> {
  const [first] = samplesOfPage("README.md", readModule("README.md"));
  if (first === undefined) throw new Error("README.md has no sample");
  const program = join(project, "hello.ts");
  writeFileSync(program, first.code);
  symlinkSync(join(cwd, "rootfs"), join(project, "rootfs"));
  await runProgram(program, { runtime, cwd: project, home });
}
