import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { identifyProcess, ownProcess, type ProcessIdentity } from "../../../src/platform/process_identity.ts";
import type { Lease, LeaseRequest } from "../../../src/state/leases.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const GONE: ProcessIdentity = { pid: 1, startTime: "1.another boot" };
const FIRST = 1001;

/** A state database in a directory of its own; `lease` leases from ten addresses, of which 1001 is the gateway's. */
class LeaseHome implements Disposable {
  readonly state: StateStore;
  readonly unrouted: number[] = [];
  readonly #directory = temporaryDirectory();

  constructor() {
    this.state = new StateStore(this.#directory.path);
  }

  take(sandboxId: string, more: Partial<LeaseRequest> = {}): number | string {
    const outcome = this.state.leases.take(
      {
        sandboxId,
        device: `msb-${sandboxId}`,
        network: "ten",
        holder: ownProcess(),
        first: FIRST,
        last: FIRST + 9,
        gateway: FIRST,
        overlaps: () => true,
        ...more,
      },
      this.unroute,
    );
    return outcome.kind === "leased" ? outcome.address : outcome.kind;
  }

  canUnroute = true;
  readonly unroute = ({ address }: Lease) => {
    this.unrouted.push(address);
    return this.canUnroute;
  };

  get addresses(): number[] {
    return this.state.leases.sweep(this.unroute).map(({ address }) => address);
  }

  [Symbol.dispose](): void {
    this.state.close();
    this.#directory[Symbol.dispose]();
  }
}

/** A process that is there until it is killed. */
async function startProcess(): Promise<{ child: ChildProcess; identity: ProcessIdentity }> {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  await once(child, "spawn");
  const identity = identifyProcess(child.pid ?? 0);
  assert.ok(identity);
  return { child, identity };
}

test("Leases.take() gives each sandbox the lowest free address, never the gateway's", () => {
  using home = new LeaseHome();
  assert.deepEqual([home.take("a"), home.take("b"), home.take("c")], [1002, 1003, 1004]);
  home.state.leases.release("b", ownProcess());
  assert.deepEqual([home.take("d"), home.take("e")], [1003, 1005]);
  assert.equal(home.take("f", { gateway: 1006 }), 1001, "another gateway leaves that address free");
});

test("Leases.take() says that a network is exhausted, and allocates nothing then", () => {
  using home = new LeaseHome();
  const taken = Array.from({ length: 9 }, (_, index) => home.take(`s${index}`));
  assert.deepEqual(taken, [1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010]);
  assert.equal(home.take("one more"), "exhausted");
  assert.equal(home.state.leases.find("one more"), undefined);
  home.state.leases.release("s4", ownProcess());
  assert.equal(home.take("one more"), 1006);
});

test("Leases.take() hands a sandbox's lease to its new holder, with the same address", async () => {
  using home = new LeaseHome();
  const { child, identity } = await startProcess();
  assert.equal(home.take("a"), 1002);
  assert.equal(home.take("a", { holder: identity }), 1002);
  home.state.leases.release("a", ownProcess());
  assert.deepEqual(home.state.leases.find("a")?.holder, identity, "who holds it no more does not release it");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.deepEqual(home.addresses, []);
});

test("Leases.sweep() keeps a lease while its device is there, though its holder is gone", () => {
  using home = new LeaseHome();
  assert.equal(home.take("gone", { holder: GONE }), 1002);
  assert.equal(home.take("engine still runs", { holder: GONE, device: "lo" }), 1002, "the first was over");
  assert.deepEqual(home.addresses, [1002]);
});

test("Leases.sweep() takes the route of an abandoned lease back, once", () => {
  using home = new LeaseHome();
  home.take("killed", { holder: GONE });
  home.state.leases.setRouted("killed", true);
  assert.deepEqual([home.addresses, home.addresses], [[], []]);
  assert.deepEqual(home.unrouted, [1002]);
  home.take("in order", { holder: GONE });
  home.state.leases.setRouted("in order", true);
  home.state.leases.setRouted("in order", false);
  assert.deepEqual([home.addresses, home.unrouted], [[], [1002]]);
});

test("Leases.sweep() keeps a lease whose route cannot be taken back, and tries no more of them", () => {
  using home = new LeaseHome();
  for (const id of ["a", "b", "c"]) {
    home.take(id);
    home.state.leases.setRouted(id, id !== "c");
  }
  home.canUnroute = false;
  for (const id of ["a", "b", "c"]) home.take(id, { holder: GONE });
  home.unrouted.length = 0;
  assert.deepEqual(home.addresses, [1002, 1003], "nothing is to be taken back of the third");
  assert.deepEqual(home.unrouted, [1002]);
  assert.equal(home.take("d"), 1004, "the addresses stay taken");
  home.canUnroute = true;
  assert.deepEqual(home.addresses, [1004]);
});

test("Leases.take() refuses a network that overlaps one in use, until that is used no more", () => {
  using home = new LeaseHome();
  home.take("a");
  assert.equal(home.take("b", { network: "apart", first: 2001, last: 2009, overlaps: () => false }), 2001);
  assert.equal(home.take("c", { network: "other" }), "overlap");
  assert.equal(home.state.leases.find("c"), undefined);
  home.state.leases.release("a", ownProcess());
  home.state.leases.release("b", ownProcess());
  assert.equal(home.take("c", { network: "other" }), 1002);
});

test("Leases.take() gives no address twice, by whichever connection to the state", () => {
  using home = new LeaseHome();
  const other = new StateStore(home.state.home);
  try {
    const take = (state: StateStore, id: string) =>
      state.leases.take(
        {
          sandboxId: id,
          device: id,
          network: "many",
          holder: ownProcess(),
          first: 1,
          last: 400,
          gateway: 1,
          overlaps: () => false,
        },
        home.unroute,
      );
    const outcomes = Array.from({ length: 100 }, (_, index) => [
      take(home.state, `a${index}`),
      take(other, `b${index}`),
    ]).flat();
    const addresses = outcomes.map((outcome) => (outcome.kind === "leased" ? outcome.address : 0));
    assert.equal(new Set(addresses).size, 200);
    assert.ok(Math.min(...addresses) > 1);
  } finally {
    other.close();
  }
});
