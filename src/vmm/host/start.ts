/**
 * Where the VM host process starts: sets off what takes longest, then becomes what `main.ts` says.
 *
 *     start.ts ENGINE LIBKRUN LIBKRUNFW
 *
 * @module
 */
import { startKrunThread } from "../engine/krun/krun_thread.ts";

const [engine, libkrunPath, libkrunfwPath] = process.argv.slice(2);
if (engine === "krun") startKrunThread({ libkrunPath, libkrunfwPath });
await import("./main.ts"); // not static: everything that it imports would come first
