/**
 * The time in which only the process that creates a sandbox can reach its guest: it works on the files there before a program can
 * run. The sandbox is still `creating` then, so that nothing is left of it if either process is killed.
 *
 * @module
 */
import { join } from "node:path";
import type { CallLimit } from "../../base/wait.ts";
import type { UnixConnection } from "../../platform/unix_connection.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import { RunFile } from "../run_directory/run_directory.ts";
import type { Relay, RelayService } from "./relay.ts";

/** What takes part. */
export interface Preparation {
  readonly runDirectory: string;
  readonly relay: Relay;
  readonly service: RelayService;
  /** Tells the creator that it can connect. */
  readonly invite: () => void;
  /** Resolves when the creator is done. */
  readonly done: Promise<void>;
}

/** Serves the creator, on a socket of its own, until it is done. @throws the error of `limit` when that is reached first. */
export async function prepareGuest(
  { runDirectory, relay, service, invite, done }: Preparation,
  limit: CallLimit,
): Promise<void> {
  const arrived = Promise.withResolvers<UnixConnection>();
  const listener = await listenUnix(join(runDirectory, RunFile.prepare), arrived.resolve);
  try {
    invite();
    relay.admit(service, await limit.race(arrived.promise));
  } finally {
    await listener.close(); // what has connected stays
  }
  await limit.race(done);
}
