/** Questions about a running sandbox, which may end in that moment. @module */
import type { AgentClient } from "../../agent/client.ts";
import { AgentDisconnectedError } from "../../agent/errors.ts";
import { type BackendSandbox, isLive, SandboxNotRunningError } from "../../backend/backend.ts";

/**
 * Asks over the sandbox's connection. If that breaks, asks once more over another one: then the reason is known why there is
 * none, if the sandbox has ended.
 *
 * @throws {SandboxNotRunningError} if the sandbox does not run, or has ended before it could answer.
 */
export async function askSandbox<T>(
  sandbox: BackendSandbox,
  question: (client: AgentClient) => Promise<T>,
): Promise<T> {
  try {
    return await askOnce(sandbox, question);
  } catch (error) {
    if (!(error instanceof AgentDisconnectedError)) throw error;
  }
  return await askOnce(sandbox, question);
}

async function askOnce<T>(
  sandbox: BackendSandbox,
  question: (client: AgentClient) => Promise<T>,
): Promise<T> {
  const client = await sandbox.connect();
  try {
    return await question(client);
  } catch (cause) {
    const { status, statusReason: reason } = await sandbox.record();
    throw isLive(status) ? cause : new SandboxNotRunningError(sandbox.name, status, { cause, reason });
  }
}
