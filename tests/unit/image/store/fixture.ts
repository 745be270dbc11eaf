/** Shared by the tests of the store: a small image in a registry, and a check for leftovers. @module */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { MicrosandboxError } from "../../../../src/base/errors.ts";
import {
  type ResolvedImage,
  type ResolveImageOptions,
  resolveImage,
} from "../../../../src/image/store/resolve_image.ts";
import type { TestRegistry } from "../../../support/oci/server.ts";
import { buildTar, type TarBuilderMember } from "../tar/builder.ts";

export const BASE: TarBuilderMember[] = [
  { name: "etc", type: "5" },
  { name: "etc/name", data: "base" },
];
export const TOP: TarBuilderMember[] = [
  { name: "etc/.wh.name", data: "" },
  { name: "app", data: "top" },
];
export const CONFIG = {
  Entrypoint: ["/app"],
  Cmd: ["--help"],
  Env: ["A=b"],
  WorkingDir: "/w",
  User: "u",
  Labels: { l: "v" },
};

export function addApp(registry: TestRegistry, tag = "v1"): `sha256:${string}` {
  return registry.addImage({ layers: [buildTar(...BASE), buildTar(...TOP)], config: CONFIG }, tag);
}

export function resolve(
  registry: TestRegistry,
  home: { path: string },
  options: Partial<ResolveImageOptions> = {},
  name = "team/app:v1",
): Promise<ResolvedImage> {
  return resolveImage(`${registry.host}/${name}`, {
    home: home.path,
    ...options,
    registry: {
      auth: { kind: "anonymous" },
      insecure: true,
      http: { backoffFirstMs: 1 },
      ...options.registry,
    },
  });
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => MicrosandboxError.is(error) && error.code === code;
}

/** Nothing but what a finished store has. */
export function assertClean(home: { path: string }): void {
  const work = join(home.path, "cache", "work");
  assert.deepEqual(existsSync(work) ? readdirSync(work) : [], []);
  for (const name of ["images", "blobs", "references", "sources"]) {
    const directory = join(home.path, "cache", name);
    if (existsSync(directory)) assert.ok(readdirSync(directory).every((file) => !file.includes("tmp")));
  }
}
