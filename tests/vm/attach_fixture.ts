/**
 * A program that attaches to the shell of a running sandbox, and ends by itself.
 *
 * @module
 */
import process from "node:process";
import { Sandbox } from "../../mod.ts";

const [, , name = ""] = process.argv;
const sandbox = await (await Sandbox.get(name)).connect();
for (const round of ["first", "second"]) console.log(round, await sandbox.attachShell());
