/** Indexes of packages, as pip and apt-get read them: files, to be served by any HTTP server. @module */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join, normalize } from "node:path";

/** Makes an index of the "simple" kind (PEP 503) below `root`, with a wheel of the module `msb_sample`. */
export function makePythonIndex(root: string): void {
  const directory = join(root, "simple/msb-sample");
  mkdirSync(directory, { recursive: true });
  const name = "msb_sample-1.0-py3-none-any.whl";
  const info = "msb_sample-1.0.dist-info";
  const wheel = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("msb_sample.py", "ANSWER = 42\\n")
    wheel.writestr("${info}/METADATA", "Metadata-Version: 2.1\\nName: msb-sample\\nVersion: 1.0\\n")
    wheel.writestr("${info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("${info}/RECORD", "")`;
  execFileSync("python3", ["-c", wheel, join(directory, name)]);
  const sum = createHash("sha256")
    .update(readFileSync(join(directory, name)))
    .digest("hex");
  writeFileSync(join(directory, "index.html"), `<a href="${name}#sha256=${sum}">${name}</a>`);
}

/** Makes what npm asks a registry for below `root`, which is served as `url`: the package `msb-sample`, and its archive. */
export function makeNpmRegistry(root: string, url: string): void {
  const name = "msb-sample";
  const fields = { name, version: "1.0.0", main: "index.js" };
  const sources = join(root, "package");
  mkdirSync(sources);
  writeFileSync(join(sources, "package.json"), JSON.stringify(fields));
  writeFileSync(join(sources, "index.js"), "module.exports = 42;\n");
  const archive = join(root, "msb-sample-1.0.0.tgz");
  execFileSync("tar", ["-czf", archive, "-C", root, "package"]);
  rmSync(sources, { recursive: true });
  const integrity = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  const dist = { tarball: `${url}/msb-sample-1.0.0.tgz`, integrity };
  const versions = { "1.0.0": { ...fields, dist } };
  writeFileSync(join(root, name), JSON.stringify({ name, "dist-tags": { latest: "1.0.0" }, versions }));
}

/** Makes a flat repository of Debian packages below `root`: one, `msb-sample`, which installs `/opt/msb-sample`. */
export function makeDebianRepository(root: string): void {
  const tree = join(root, "tree");
  mkdirSync(join(tree, "DEBIAN"), { recursive: true });
  mkdirSync(join(tree, "opt"));
  writeFileSync(join(tree, "opt/msb-sample"), "sample\n");
  const fields = ["Package: msb-sample", "Version: 1.0", "Architecture: all", "Maintainer: A <a@example>"];
  const control = `${[...fields, "Description: a sample"].join("\n")}\n`;
  writeFileSync(join(tree, "DEBIAN/control"), control);
  const file = "msb-sample_1.0_all.deb";
  execFileSync("dpkg-deb", ["--build", "--root-owner-group", "-Znone", tree, join(root, file)]);
  rmSync(tree, { recursive: true });
  const data = readFileSync(join(root, file));
  const sum = createHash("sha256").update(data).digest("hex");
  writeFileSync(
    join(root, "Packages"),
    `${control}Filename: ./${file}\nSize: ${data.length}\nSHA256: ${sum}\n`,
  );
}

/** Answers with the files below `root`, a directory by its `index.html`. */
export function filesBelow(root: string): RequestListener {
  return (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const file = join(root, normalize(path), path.endsWith("/") ? "index.html" : "");
    try {
      const data = readFileSync(file);
      response.setHeader("Content-Type", file.endsWith(".html") ? "text/html" : "application/octet-stream");
      response.end(data);
    } catch {
      response.writeHead(404).end();
    }
  };
}
