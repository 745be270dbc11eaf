/** Tools about sandboxes as a whole. @module */
import { z } from "zod";
import { Snapshot } from "../../../mod.ts";
import { ENTRIES_MAX } from "./settings.ts";
import { ADDS, CHANGES, fields, READS, tool } from "./tools.ts";

const status = z.string().describe("E.g. running, stopped, crashed.");

const create = tool({
  name: "sandbox_create",
  title: "Create a sandbox",
  description:
    "Boots a new sandbox: a virtual machine of its own, from an image. It stops when it is idle, keeps its disk, and is started again by " +
    "the next tool that uses it.",
  annotations: { ...ADDS, openWorldHint: true },
  input: z.strictObject({
    name: z.string().min(1).optional().describe("Its name. Default: a generated one."),
    image: z
      .string()
      .min(1)
      .optional()
      .describe("An image, e.g. alpine or python:3-slim; the server may have a default."),
    memoryMiB: z
      .int()
      .min(1)
      .optional()
      .describe("Memory in MiB; the server has a limit, which is the default."),
    env: fields.env,
    workdir: fields.cwd,
  }),
  output: z.object({ sandbox: z.string(), image: z.string(), memoryMiB: z.int(), status }),
  async run(input, { sandboxes }, signal) {
    const sandbox = await sandboxes.create(input, signal);
    const { image, memoryMiB } = sandbox.config();
    return { sandbox: sandbox.name, image, memoryMiB, status: "running" };
  },
});

const list = tool({
  name: "sandbox_list",
  title: "List sandboxes",
  description: "Lists the sandboxes that can be used here.",
  annotations: READS,
  input: z.strictObject({}),
  output: z.object({
    sandboxes: z.array(z.object({ sandbox: z.string(), image: z.string(), status, createdAt: z.string() })),
    isCut: z.boolean().describe(`Whether there are more than ${ENTRIES_MAX}, which are left out.`),
  }),
  async run(_, { sandboxes }) {
    const { handles, isCut } = await sandboxes.list();
    const rows = handles.map((handle) => ({
      sandbox: handle.name,
      image: handle.config().image,
      status: handle.status,
      createdAt: handle.createdAt.toISOString(),
    }));
    return { sandboxes: rows, isCut };
  },
});

const publish = tool({
  name: "sandbox_publish_port",
  title: "Publish a port",
  description:
    "Makes a TCP server in the sandbox reachable at a free port of this machine, on 127.0.0.1 only, until the sandbox stops. Gives the URL.",
  annotations: ADDS,
  input: z.strictObject({
    sandbox: fields.sandbox,
    port: z.int().min(1).max(65_535).describe("The port that the server in the sandbox listens on."),
  }),
  output: z.object({ port: z.int(), hostPort: z.int(), url: z.string() }),
  async run({ sandbox: name, port }, { sandboxes }) {
    const { ports } = (await sandboxes.running(name)).network;
    const known = (await ports.list()).find(
      ({ guestPort, protocol, bind }) => guestPort === port && protocol === "tcp" && bind === "127.0.0.1",
    );
    const { hostPort } = known ?? (await ports.add({ hostPort: 0, guestPort: port }));
    return { port, hostPort, url: `http://127.0.0.1:${hostPort}/` };
  },
});

const snapshot = tool({
  name: "sandbox_snapshot",
  title: "Take a snapshot",
  description:
    "Copies the disk of a sandbox under a name, whether it runs or not. `msb restore` makes sandboxes of it.",
  annotations: ADDS,
  input: z.strictObject({
    sandbox: z.string().min(1).describe("Name of the sandbox."),
    name: z.string().min(1).describe("Name of the snapshot."),
  }),
  output: z.object({ snapshot: z.string(), digest: z.string(), sizeBytes: z.int() }),
  async run({ sandbox: from, name }, { sandboxes }, signal) {
    await sandboxes.find(from);
    const taken = await Snapshot.create({ name, from, signal });
    return { snapshot: taken.name, digest: taken.digest, sizeBytes: taken.sizeBytes };
  },
});

const stop = tool({
  name: "sandbox_stop",
  title: "Stop a sandbox",
  description: "Stops a sandbox gracefully. Its disk stays; the next tool that uses it starts it again.",
  annotations: { ...CHANGES, idempotentHint: true },
  input: z.strictObject({ sandbox: z.string().min(1).describe("Name of the sandbox.") }),
  output: z.object({ sandbox: z.string(), status }),
  async run({ sandbox: name }, { sandboxes }) {
    const handle = await sandboxes.find(name);
    await handle.stop();
    return { sandbox: name, status: (await handle.refresh()).status };
  },
});

const remove = tool({
  name: "sandbox_remove",
  title: "Remove a sandbox",
  description: "Stops a sandbox, and deletes it with its disk and logs.",
  annotations: CHANGES,
  input: z.strictObject({ sandbox: z.string().min(1).describe("Name of the sandbox.") }),
  output: z.object({ sandbox: z.string(), isRemoved: z.boolean() }),
  async run({ sandbox: name }, { sandboxes }) {
    await (await sandboxes.find(name)).destroy();
    return { sandbox: name, isRemoved: true };
  },
});

/** All of them. */
export const SANDBOX_TOOLS = [create, list, publish, snapshot, stop, remove];
