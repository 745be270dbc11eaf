/**
 * Commands and flags of other container tools that `msb` does not have, with what to do instead.
 *
 * @module
 */

const COMMANDS: Readonly<Record<string, string>> = {
  build: "build with docker, podman or buildah, then `msb load ARCHIVE`",
  commit: "`msb snapshot create --from-sandbox NAME` keeps a sandbox's disk",
  login: "msb uses Docker's credentials: `docker login`, `podman login` or `skopeo login`",
  logout: "msb uses Docker's credentials: `docker logout`, `podman logout` or `skopeo logout`",
  port: "`msb inspect NAME` shows the published ports",
  push: "`msb save -o IMAGE.tar REFERENCE`, then `skopeo copy docker-archive:IMAGE.tar docker://…`",
  rmi: "`msb image rm REFERENCE`",
  search: "msb pulls by reference: `msb pull alpine`",
  system: "`du -sh` of the home (`MSB_HOME`) shows what is used; `msb image prune` frees images",
  tag: "name an image when it is loaded: `msb load --tag REFERENCE ARCHIVE`",
};

const FLAGS: Readonly<Record<string, string>> = {
  "--mount": "`-v PATH:TARGET`, `-v VOLUME:TARGET`, `--tmpfs TARGET`, or `--mount-disk IMAGE:TARGET`",
  "--publish": "`-p` or `--port`",
  "--add-host":
    "write /etc/hosts in the guest; this machine is `host.microsandbox.internal`, if it is allowed",
  "--dns": "`--dns-nameserver`",
  "--no-net": "leave it out: without `--network` or `--allow` there is no network",
  "--no-network": "leave it out: without `--network` or `--allow` there is no network",
  "--net-policy": "`--allow`, `--deny` or `--net-rule`",
  "--network-alias": "sandboxes do not see each other",
  "--cpu": "`--cpus`",
  "--platform": "`msb pull --platform` chooses the platform of an image",
};

/** What to do instead of a command that `msb` does not have; `undefined` for a word that no such tool knows. */
export function commandHabit(word: string): string | undefined {
  return COMMANDS[word];
}

/** What to do instead of a flag that `msb` does not have, from the message about it. */
export function flagHabit(message: string): string | undefined {
  const flag = /unknown option '(?<flag>--?[a-z-]+)/.exec(message)?.groups?.["flag"];
  return flag === undefined ? undefined : FLAGS[flag];
}
