/**
 * The life of a sandbox as a table: which status follows which, by which action. No other file decides that.
 *
 * @module
 */

/**
 * - `creating`: its VM host process runs, the guest does not answer yet.
 * - `running`: the guest's agent answers.
 * - `draining`: the stop sequence has begun.
 * - `paused`: the VM stands still.
 * - `stopped`: stopped gracefully, or killed on purpose; can be started.
 * - `crashed`: ended by itself, or never came up; can be started.
 */
export type SandboxStatus = "creating" | "running" | "draining" | "paused" | "stopped" | "crashed";

/** What can happen to a sandbox; each is an event that subscribers see. */
export type SandboxAction =
  | "created"
  | "starting"
  | "ready"
  | "paused"
  | "resumed"
  | "stopping"
  | "stopped"
  | "crashed";

/** What is told of a sandbox without a change of its status, or at its end. */
export type SandboxNote = "running" | "idle" | "failed" | "removed" | "displaced";

type Transitions = Readonly<Partial<Record<SandboxAction, SandboxStatus>>>;

/** Where each action leads from each status; an action that is missing is refused. */
export const TRANSITIONS: Readonly<Record<SandboxStatus, Transitions>> = {
  creating: { ready: "running", stopping: "draining", stopped: "stopped", crashed: "crashed" },
  running: { paused: "paused", stopping: "draining", stopped: "stopped", crashed: "crashed" },
  draining: { stopped: "stopped", crashed: "crashed" },
  paused: { resumed: "running", stopping: "draining", stopped: "stopped", crashed: "crashed" },
  stopped: { starting: "creating" },
  crashed: { starting: "creating" },
};

/** The statuses in which a VM host process should be alive. */
export const LIVE_STATUSES: readonly SandboxStatus[] = ["creating", "running", "draining", "paused"];

export function isLive(status: SandboxStatus): boolean {
  return LIVE_STATUSES.includes(status);
}

/** Whether a job of that status has not ended. */
export function isOpenJob(status: string): boolean {
  return status === "starting" || status === "running";
}

export function isSandboxStatus(value: unknown): value is SandboxStatus {
  return typeof value === "string" && Object.hasOwn(TRANSITIONS, value);
}
