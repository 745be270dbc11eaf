/** A process that creates a detached sandbox whose requests its hooks see, and ends: IMAGE ADDRESS. @module */
import { NetworkPolicy, Sandbox } from "../../../mod.ts";
import { MEMORY_MIB } from "./vm.ts";

const [image = "", address = ""] = process.argv.slice(2);
const sandbox = await Sandbox.create({
  name: "hooked",
  image,
  memoryMiB: MEMORY_MIB,
  detached: true,
  network: {
    policy: NetworkPolicy.allowAll(),
    secrets: { KEY: { value: "value-of-the-key", allowAnyHost: true } },
    secretViolation: "block-and-terminate",
    onRequest: (request) => {
      return request.method === "POST" ? new Response("answered by the first process\n") : undefined;
    },
  },
});
const answer = await sandbox.shell(`timeout 60 wget -qO- --post-data x http://${address}/`);
// What stays open in the guest must not keep this process.
await sandbox.shell(
  `(sleep 1000 | nc ${address} 7) </dev/null >/dev/null 2>&1 & until netstat -tn | grep -q ESTABLISHED; do sleep 0.1; done`,
);
console.log(answer.stdout().trim());
