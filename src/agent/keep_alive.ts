/** What keeps a process alive while it waits on a connection. @module */

/** The part of a connection that decides whether it keeps the process alive. */
interface Referenced {
  setReferenced(referenced: boolean): void;
}

/** Counts what is under way on a connection, and references the connection while something needs the process. */
export class KeepAlive {
  readonly #connection: Referenced;
  /** Called each time nothing is under way any more. */
  readonly #onIdle: () => void;
  #busy = 0;
  /** The part of `#busy` that does not keep the process alive: detached programs that run. */
  #unattended = 0;
  #isReferenced = false;

  constructor(connection: Referenced, onIdle: () => void) {
    this.#connection = connection;
    this.#onIdle = onIdle;
  }

  get isIdle(): boolean {
    return this.#busy === 0;
  }

  hold(): void {
    this.#busy++;
    this.#update();
  }

  release(): void {
    this.#busy--;
    this.#update();
    if (this.isIdle) this.#onIdle();
  }

  /** Until `released`, what is held for a detached program does not keep the process alive: it runs without it. */
  leaveUnattended(released: Promise<void>): void {
    this.#unattended++;
    this.#update();
    released.then(() => {
      this.#unattended--;
      this.#update();
    });
  }

  #update(): void {
    const isNeeded = this.#busy > this.#unattended;
    if (isNeeded === this.#isReferenced) return;
    this.#isReferenced = isNeeded;
    this.#connection.setReferenced(isNeeded);
  }
}
