/** Guesses which option a caller meant who wrote one that does not exist. @module */

/** What options are called elsewhere: in the known SDK, in docker, in other sandbox libraries. */
const FOREIGN_NAMES: Readonly<Record<string, readonly string[]>> = {
  allowed: ["allow"],
  allowedHosts: ["allow", "hosts"],
  allowList: ["allow"],
  args: ["cmd"],
  command: ["cmd"],
  cmd: ["command"],
  cpu: ["cpus"],
  cwd: ["workdir"],
  denied: ["deny"],
  denyList: ["deny"],
  directory: ["cwd", "workdir"],
  disk: ["diskMiB"],
  diskSize: ["diskMiB"],
  envs: ["env"],
  environment: ["env"],
  envVars: ["env"],
  img: ["image"],
  input: ["stdin"],
  bind: ["mounts"],
  binds: ["mounts"],
  mem: ["memoryMiB"],
  metadata: ["labels"],
  output: ["outputPath"],
  patch: ["patches"],
  pseudoTerminal: ["tty"],
  pty: ["tty"],
  ram: ["memoryMiB"],
  rootfs: ["image"],
  snapshot: ["fromSnapshot"],
  tags: ["labels", "tag"],
  template: ["image"],
  terminal: ["tty"],
  timeout: ["maxDurationMs", "bootTimeoutMs"],
  ulimits: ["rlimits"],
  uid: ["user"],
  vcpus: ["cpus"],
  volume: ["mounts"],
  volumes: ["mounts"],
  workdir: ["cwd"],
  workingDir: ["workdir", "cwd"],
};

/** Options carry their unit at the end. */
const UNITS = ["Ms", "MiB", "Bytes", "BytesMax"];
/** A guess may differ from what was written in one letter of so many. */
const LETTERS_PER_TYPO = 3;
/** A longer name is not compared letter by letter. */
const NAME_CHARS_MAX = 64;

/** The one of `known` that `name` probably stands for; `undefined` if none comes close. */
export function suggestOption(name: string, known: readonly string[]): string | undefined {
  const foreign = Object.hasOwn(FOREIGN_NAMES, name) ? (FOREIGN_NAMES[name] ?? []) : [];
  const candidates = [...UNITS.map((unit) => name + unit), ...foreign];
  return candidates.find((candidate) => known.includes(candidate)) ?? closest(name, known);
}

function closest(name: string, known: readonly string[]): string | undefined {
  if (name.length > NAME_CHARS_MAX) return undefined;
  const written = plain(name);
  const [best] = known
    .map((option) => ({ option, typos: editDistance(written, plain(option)) }))
    .filter(({ option, typos }) => typos <= Math.min(name.length, option.length) / LETTERS_PER_TYPO)
    .toSorted((a, b) => a.typos - b.typos);
  return best?.option;
}

/** `memory_mib` and `memory-mib` are `memoryMiB`, spelt otherwise. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[_-]/g, "");
}

/** How many letters have to be inserted, removed or replaced to make `b` of `a` (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
