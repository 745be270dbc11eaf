/**
 * Where the VM host process starts: sets off what takes longest, then becomes what `main.ts` says.
 *
 *     start.ts ENGINE
 *
 * @module
 */
import { startKrunThread } from "./engine/krun_thread.ts";

if (process.argv[2] === "krun") startKrunThread();
await import("./main.ts"); // not static: everything that it imports would come first
