/**
 * What clients of the relay ask about mounts of this machine's directories.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { type Message, MountFlag } from "../../agent/protocol.ts";
import { messageOf } from "../../base/errors.ts";
import type { MountRequest } from "../host_protocol.ts";
import type { RelayClient } from "./relay_client.ts";

/** Of what went wrong: a guest says some of it, and the whole has to fit into a frame. */
const PROBLEM_CHARS_MAX = 2048;

/** Mounts and unmounts; both reject with what people are told. */
export interface RelayMounts {
  open(mounts: readonly MountRequest[]): Promise<void>;
  remove(target: string): Promise<void>;
}

type MountMessage = Extract<Message, { readonly name: "mountAdd" | "mountRemove" }>;

/** Does what a client asks, and answers it. */
export function changeMounts(
  mounts: RelayMounts | undefined,
  client: RelayClient,
  message: MountMessage,
): void {
  const { token } = message.fields;
  const answer = (problem: string) =>
    encodeMessage("mountChanged", 0, { token, problem: problem.slice(0, PROBLEM_CHARS_MAX) });
  const change = async () => {
    if (mounts === undefined) throw new Error("the sandbox has no mounts");
    if (message.name === "mountRemove") await mounts.remove(message.fields.target);
    else await mounts.open([requestOf(message.fields)]);
    return answer("");
  };
  client.answerLater(
    () => change().catch((error: unknown) => answer(messageOf(error))),
    () => answer("too many at once"),
  );
}

function requestOf(fields: Extract<MountMessage, { readonly name: "mountAdd" }>["fields"]): MountRequest {
  const { target, flags, source, uid, gid, memoryBytes } = fields;
  const isReadonly = (flags & MountFlag.readonly) !== 0;
  const isWatched = (flags & MountFlag.watch) !== 0;
  const hasLocks = (flags & MountFlag.locks) !== 0;
  const isNoExec = (flags & MountFlag.noExec) !== 0;
  return (flags & MountFlag.memory) !== 0
    ? { target, isReadonly, isNoExec, memoryBytes }
    : { target, isReadonly, isNoExec, source, owner: { uid, gid }, isWatched, hasLocks };
}
