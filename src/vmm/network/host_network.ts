/**
 * The host's end of a sandbox's network device, for as long as the VM runs.
 *
 * @module
 */
import { messageOf } from "../../base/errors.ts";
import { NetworkError } from "../../network/errors.ts";
import type { DevicePlan, TapPlan } from "../../network/network_plan.ts";
import { hasNetworkInterface } from "../../platform/network_interface.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { NetworkDevice } from "../engine/engine.ts";

export class HostNetwork implements Disposable {
  readonly #state: StateStore;
  readonly #key: BootKey;
  readonly #plan: DevicePlan | undefined;
  #lower: (() => void) | undefined;

  constructor(state: StateStore, key: BootKey, plan: DevicePlan | undefined) {
    this.#state = state;
    this.#key = key;
    this.#plan = plan;
  }

  /** What the engine is to connect the guest's device to. @throws {NetworkError} */
  async open(runDirectory: string): Promise<NetworkDevice | undefined> {
    if (this.#plan === undefined) return undefined;
    const { mac } = this.#plan;
    if (this.#plan.mode === "tap") {
      const { tapName } = this.#plan;
      // Both engines would take it for the one that they are to make.
      if (hasNetworkInterface(tapName))
        throw new NetworkError(`The host has a network device called ${tapName} already`, {
          hint: `ip link delete ${tapName}, if nothing uses it`,
        });
      return { kind: "tap", tapName, mac };
    }
    const { startPasst } = await import("./passt.ts");
    return { kind: "stream", socketPath: await startPasst(this.#plan, runDirectory), mac };
  }

  /** Gives the host's end its address. To be called once the engine has the device. @throws {NetworkError} */
  async raise(): Promise<void> {
    if (this.#plan?.mode === "tap") await this.#raiseTap(this.#plan);
  }

  async #raiseTap(plan: TapPlan): Promise<void> {
    const { lowerTap, raiseTap } = await import("../../network/tap_device.ts");
    const { leases } = this.#state;
    // Recorded first: if this process is killed in between, the next look undoes it.
    leases.setRouted(this.#key.id, true);
    this.#lower = () => {
      lowerTap(plan);
      leases.setRouted(this.#key.id, false);
    };
    raiseTap(plan);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Takes back what {@linkcode raise} did. Never throws: the VM has to end all the same. */
  close(): void {
    const lower = this.#lower;
    this.#lower = undefined;
    try {
      lower?.();
    } catch (error) {
      console.error(`cannot take the network back: ${messageOf(error)}`); // into the diagnostics
    }
  }
}
