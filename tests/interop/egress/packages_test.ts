/** Package managers in a guest, which may reach their index and nothing else. @module */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HttpInterceptor } from "../../../src/egress/tls/interceptor.ts";
import { httpOrigin, httpsOrigin, originAuthority, tlsConfig } from "../../support/egress/origin.ts";
import {
  filesBelow,
  makeDebianRepository,
  makeNpmRegistry,
  makePythonIndex,
} from "../../support/egress/package_servers.ts";
import { authorityFile } from "../../support/egress/programs.ts";
import { programsMissing, startGuestOf } from "../../support/egress/real_guest.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test(
  "pip installs from a private index",
  async () => {
    using directory = temporaryDirectory();
    makePythonIndex(directory.path);
    await using origin = await httpOrigin(filesBelow(directory.path));
    await using guest = await startGuestOf({ "pypi.example:80": origin.port });
    const target = join(directory.path, "installed");
    const pip = [
      ...["python3", "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir", "install"],
      ...["--quiet", "--no-input", "--index-url", "http://pypi.example/simple/"],
      ...["--trusted-host", "pypi.example", "--target", target, "msb-sample"],
    ];
    await guest.run(...pip);
    const answer = `import sys; sys.path.insert(0, "${target}"); import msb_sample; print(msb_sample.ANSWER)`;
    assert.equal(await guest.network.python(answer), "42");
  },
  { missing: programsMissing("python3", "pip3") },
);

test(
  "apt-get updates its lists and downloads a package",
  async () => {
    using directory = temporaryDirectory();
    const path = (name: string) => join(directory.path, name);
    mkdirSync(path("served"));
    makeDebianRepository(path("served"));
    await using origin = await httpOrigin(filesBelow(path("served")));
    await using guest = await startGuestOf({ "deb.example:80": origin.port });
    for (const name of ["lists/partial", "cache/archives/partial", "empty"])
      mkdirSync(path(name), { recursive: true });
    writeFileSync(path("sources.list"), "deb [trusted=yes] http://deb.example ./\n");
    const settings = [
      ...[`Dir::Etc::sourcelist=${path("sources.list")}`, `Dir::Etc::sourceparts=${path("empty")}`],
      ...[`Dir::State::lists=${path("lists")}`, `Dir::Cache=${path("cache")}`, "Debug::NoLocking=true"],
      ...["APT::Sandbox::User=root", "Acquire::Retries=0", "Acquire::http::Proxy=DIRECT"],
    ].flatMap((setting) => ["-o", setting]);
    await guest.run("apt-get", ...settings, "update");
    const script = 'cd "$1"; shift; apt-get "$@" download msb-sample';
    await guest.run("sh", "-c", script, "sh", path("empty"), ...settings);
    const listed = await guest.run("dpkg-deb", "--contents", path("empty/msb-sample_1.0_all.deb"));
    assert.match(listed, /\.\/opt\/msb-sample/);
  },
  { missing: programsMissing("apt-get", "dpkg-deb") },
);

test(
  "npm installs from a registry over HTTPS, by rules alone and read on the way",
  async () => {
    using directory = temporaryDirectory();
    const path = (name: string) => join(directory.path, name);
    for (const name of ["served", "alone", "read"]) mkdirSync(path(name));
    makeNpmRegistry(path("served"), "https://npm.example");
    await using origin = await httpsOrigin(filesBelow(path("served")), { host: "npm.example" });
    writeFileSync(path("ca.pem"), originAuthority.certificate);
    const interceptor = (config: ConstructorParameters<typeof HttpInterceptor>[0]["config"]) =>
      new HttpInterceptor({ config });
    for (const [way, authority, config] of [
      ["alone", path("ca.pem"), {}],
      ["read", authorityFile(), { tls: tlsConfig(), interceptor }],
    ] as const) {
      await using guest = await startGuestOf({ "npm.example:443": origin.port }, config);
      await guest.run(
        ...["env", `NODE_EXTRA_CA_CERTS=${authority}`, `HOME=${path(way)}`, "npm", "install", "--silent"],
        ...["--registry=https://npm.example/", `--cache=${path(`${way}/cache`)}`, "--prefix", path(way)],
        ...["--no-audit", "--no-fund", "--no-update-notifier", "--fetch-retries=0", "msb-sample"],
      );
      const script = `process.stdout.write(String(require("${path(way)}/node_modules/msb-sample")))`;
      assert.equal(await guest.run("node", "-e", script), "42");
    }
  },
  { missing: programsMissing("npm", "node", "tar") },
);
