/** A program that prints the status of each sandbox of its home, as JSON: for tests that look from another namespace. @module */
import { Sandbox } from "../../../mod.ts";

const statuses: Record<string, string> = {};
for await (const { name, status } of Sandbox.list({ status: ["running", "stopped", "crashed"] }))
  statuses[name] = status;
process.stdout.write(`${JSON.stringify(statuses)}\n`);
process.exit(0);
