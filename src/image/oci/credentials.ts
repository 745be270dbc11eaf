/**
 * Finds the credentials for a registry in Docker's client configuration and its credential helpers.
 *
 * Sources: Docker CLI, `config.json` properties `auths`, `credsStore` and `credHelpers`; the docker-credential-helpers
 * protocol (the server's name on standard input, JSON on standard output).
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { isAbsence } from "../../platform/if_present.ts";
import { askCredentialHelper, type HelperLimits, type HelperRequest } from "./credential_helper.ts";
import { ImageAuthError } from "./errors.ts";

/** Credentials for a registry. */
export type RegistryAuth =
  | { readonly kind: "anonymous" }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  /** A token that is sent unchanged. */
  | { readonly kind: "bearer"; readonly token: string };

/** Credentials for a login. `identity` is a refresh token, which a token server exchanges for access tokens. */
export type Credentials = RegistryAuth | { readonly kind: "identity"; readonly token: string };

const HELPER_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Docker Hub's key in `config.json`, which is older than the registry's name. */
const DOCKER_HUB_SERVER = "https://index.docker.io/v1/";

const configSchema = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
        registrytoken: z.string().optional(),
      }),
    )
    .optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
type DockerConfig = z.output<typeof configSchema>;

const helperSchema = z.object({ Username: z.string(), Secret: z.string() });

/**
 * Returns the credentials that Docker would use for `registry`; anonymous ones if Docker has none stored.
 *
 * @param environment Provides `DOCKER_CONFIG`, `HOME` and `PATH`.
 * @throws {ImageAuthError} The configuration cannot be read, or a helper fails.
 * @throws {AbortedError}
 */
export async function findCredentials(
  registry: string,
  environment: NodeJS.ProcessEnv = process.env,
  signal?: AbortSignal,
  limits?: HelperLimits,
): Promise<Credentials> {
  const config = await readDockerConfig(registry, environment);
  if (config === undefined) return { kind: "anonymous" };
  const server = registry === "docker.io" ? DOCKER_HUB_SERVER : registry;

  const own = config.credHelpers?.[registry] ?? config.credHelpers?.[server];
  const helper = own ?? config.credsStore;
  if (helper !== undefined && helper !== "") {
    const found = await askHelper(helper, { server, registry, environment, signal, limits });
    if (found !== undefined) return found;
  }
  return readAuthEntry(config, registry, server);
}

async function readDockerConfig(
  registry: string,
  environment: NodeJS.ProcessEnv,
): Promise<DockerConfig | undefined> {
  const directory = environment["DOCKER_CONFIG"] || join(environment["HOME"] || homedir(), ".docker");
  const path = join(directory, "config.json");
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if (isAbsence(cause)) return undefined; // there has never been a login
    throw new ImageAuthError(registry, `${path} cannot be read`, { cause });
  }
  try {
    return configSchema.parse(JSON.parse(text));
  } catch {
    // No cause: a parser's message may quote the file, which holds secrets.
    throw new ImageAuthError(registry, `${path} is not a Docker client configuration`);
  }
}

function readAuthEntry(config: DockerConfig, registry: string, server: string): Credentials {
  const spellings = [server, registry, `https://${registry}`, `https://${registry}/`, `http://${registry}`];
  const key = spellings.find((spelling) => config.auths?.[spelling] !== undefined);
  const entry = key === undefined ? undefined : config.auths?.[key];
  if (entry === undefined) return { kind: "anonymous" };
  if (entry.identitytoken) return { kind: "identity", token: entry.identitytoken };
  if (entry.registrytoken) return { kind: "bearer", token: entry.registrytoken };
  if (entry.auth) {
    const decoded = Buffer.from(entry.auth, "base64").toString("utf8").replace(/\0+$/, "");
    const colon = decoded.indexOf(":");
    if (colon < 1) throw new ImageAuthError(registry, `the entry "auth" of ${key} is not "user:password"`);
    return { kind: "basic", username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  }
  if (entry.username) return { kind: "basic", username: entry.username, password: entry.password ?? "" };
  return { kind: "anonymous" };
}

async function askHelper(
  helper: string,
  request: Omit<HelperRequest, "program">,
): Promise<Credentials | undefined> {
  const { registry } = request;
  if (!HELPER_NAME_PATTERN.test(helper)) {
    throw new ImageAuthError(registry, `the credential helper's name "${helper}" is not a plain name`);
  }
  const output = await askCredentialHelper({ ...request, program: `docker-credential-${helper}` });
  if (output === undefined) return undefined;
  let answer: z.output<typeof helperSchema>;
  try {
    answer = helperSchema.parse(JSON.parse(output));
  } catch {
    throw new ImageAuthError(registry, `docker-credential-${helper} gave no credentials that can be read`);
  }
  if (answer.Username === "<token>") return { kind: "identity", token: answer.Secret };
  return { kind: "basic", username: answer.Username, password: answer.Secret };
}
