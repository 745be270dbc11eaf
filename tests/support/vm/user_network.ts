/** What network mode `user` needs of the machine. @module */
import { networkInterfaces } from "node:os";
import { findProgram } from "../../../src/platform/find_program.ts";

/** An address of this machine that is not its loopback interface's. */
export const ownAddress: string | undefined = Object.values(networkInterfaces())
  .flat()
  .find((info) => info !== undefined && info.family === "IPv4" && !info.internal)?.address;

/** Why the mode does not work here; `undefined` where it does. */
export const userNetworkProblem: string | undefined =
  findProgram("passt") === undefined
    ? "passt is not installed"
    : ownAddress === undefined
      ? "this machine has no network"
      : undefined;
