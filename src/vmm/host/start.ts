/**
 * Where the VM host process starts: sets off what takes longest, then becomes what `main.ts` says.
 *
 *     start.ts ENGINE LIBRARY_OR_PROGRAM LIBKRUNFW
 *
 * @module
 */
import { ENGINE_NAMES } from "../../base/engine_name.ts";
import { beginEngine } from "../engine/load_engine.ts";

const [engine, enginePath = "", libkrunfwPath = ""] = process.argv.slice(2);
const name = ENGINE_NAMES.find((known) => known === engine);
if (name !== undefined) beginEngine(name, { enginePath, libkrunfwPath });
await import("./main.ts"); // not static: everything that it imports would come first
