/**
 * Which sandboxes there are, in which status, and what happened to them. Names and boots are claimed here, in short
 * write transactions, so that any number of processes can race without harm.
 *
 * A row is a claim. Whether its VM host process is alive is for the sandbox room to find out (`reconcile`).
 *
 * @module
 */
import { IoError } from "../base/errors.ts";
import type { DirectoryWatch } from "../platform/file_watch.ts";
import { renameIfPresent } from "../platform/if_present.ts";
import { isSameProcess, type ProcessIdentity } from "../platform/process_identity.ts";
import { ChangeNotice } from "./change_notice.ts";
import type { Database, Parameter, Row, TransactionOptions } from "./database.ts";
import { SandboxAlreadyExistsError, SandboxNotFoundError } from "./errors.ts";
import { EventLog, type NewEvent } from "./event_log.ts";
import { Jobs } from "./jobs.ts";
import { Leases } from "./leases.ts";
import { openDatabase } from "./open_database.ts";
import { number, text } from "./row_fields.ts";
import { decodeSandbox, type SandboxRecord } from "./sandbox_record.ts";
import { isLive, type SandboxAction, type SandboxStatus, TRANSITIONS } from "./status.ts";
import { Volumes } from "./volumes.ts";

export type { SandboxRecord } from "./sandbox_record.ts";

/** Sandboxes that one list holds at most. */
const LIST_MAX = 100_000;

/** One boot of one sandbox: what a transition must name, so that a late one of an earlier boot does no harm. */
export interface BootKey {
  readonly id: string;
  readonly bootNumber: number;
}

/** What a VM host process records about itself when it claims a boot. */
export interface BootClaim {
  readonly runDirectory: string;
  readonly host: ProcessIdentity;
}

/** Where a page of a list ends. */
export interface ListPosition {
  readonly createdAtMs: number;
  readonly id: string;
}

/** Where a directory goes. */
export interface DirectoryMove {
  readonly from: string;
  readonly to: string;
}

/** What is claimed when a sandbox is created. */
export interface CreateClaim extends BootClaim {
  readonly id: string;
  readonly name: string;
  readonly configJson: string;
  readonly imageDigest: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The state database of one home. */
export class StateStore {
  readonly home: string;
  /** What happened to the sandboxes. */
  readonly eventLog: EventLog;
  /** Which sandbox has which address. */
  readonly leases: Leases;
  /** The programs that outlive their clients. */
  readonly jobs: Jobs;
  /** Which volumes there are. */
  readonly volumes: Volumes;
  readonly #database: Database;
  readonly #notice: ChangeNotice;

  /** @throws {DatabaseError} */
  constructor(home: string) {
    this.home = home;
    this.#database = openDatabase(home);
    this.#notice = new ChangeNotice(home);
    this.eventLog = new EventLog(this.#database, () => this.#notice.post());
    this.leases = new Leases(this.#database);
    this.jobs = new Jobs(this.#database, () => this.#notice.post());
    this.volumes = new Volumes(this.#database);
  }

  close(): void {
    this.#database.close();
    this.#notice[Symbol.dispose]();
  }

  /** Notifies of each event and each change of a job, whichever process writes it. VM host processes of earlier releases give no notice. */
  watch(): DirectoryWatch {
    return this.#notice.watch();
  }

  /** @throws {SandboxAlreadyExistsError} if the name is taken. */
  claimCreate(claim: CreateClaim): BootKey {
    return this.#database.transaction(() => {
      if (this.find(claim.name) !== undefined) throw new SandboxAlreadyExistsError(claim.name);
      const now = Date.now();
      this.#database.run(
        `INSERT INTO sandbox (id, name, status, boot_number, config, image_digest, run_directory, host_pid,
           host_start_time, created_at, updated_at) VALUES (?, ?, 'creating', 1, ?, ?, ?, ?, ?, ?, ?)`,
        claim.id,
        claim.name,
        claim.configJson,
        claim.imageDigest,
        claim.runDirectory,
        claim.host.pid,
        claim.host.startTime,
        now,
        now,
      );
      for (const [key, value] of Object.entries(claim.labels)) {
        this.#database.run(
          "INSERT INTO label (sandbox_id, key, value) VALUES (?, ?, ?)",
          claim.id,
          key,
          value,
        );
      }
      this.#record(claim.id, claim.name, "created", {});
      this.#record(claim.id, claim.name, "starting", { bootNumber: 1 });
      return { id: claim.id, bootNumber: 1 };
    });
  }

  /**
   * Claims the next boot of a stopped or crashed sandbox. `undefined` if it is in another status, or gone, or if `last`,
   * of which the caller knows that nothing is left, is not its last boot any more: that may still have the disk.
   */
  claimStart(last: BootKey, claim: BootClaim): BootKey | undefined {
    return this.#database.transaction(() => {
      const { id } = last;
      const record = this.#startable(last);
      if (record === undefined) return undefined;
      const bootNumber = record.bootNumber + 1;
      this.#database.run(
        `UPDATE sandbox SET status = 'creating', status_reason = NULL, boot_number = ?, run_directory = ?, host_pid = ?,
           host_start_time = ?, updated_at = ? WHERE id = ?`,
        bootNumber,
        claim.runDirectory,
        claim.host.pid,
        claim.host.startTime,
        Date.now(),
        id,
      );
      this.#record(id, record.name, "starting", { bootNumber });
      return { id, bootNumber };
    });
  }

  /** Whether {@linkcode claimStart} could succeed now. */
  isStartable(last: BootKey): boolean {
    return this.#startable(last) !== undefined;
  }

  #startable(last: BootKey): SandboxRecord | undefined {
    const record = this.findById(last.id);
    if (record === undefined || TRANSITIONS[record.status].starting === undefined) return undefined;
    return record.bootNumber === last.bootNumber ? record : undefined;
  }

  /**
   * Moves a sandbox along {@linkcode TRANSITIONS}. Returns whether it did: not if the sandbox is gone, is in a status
   * without that action, or has been booted again since.
   */
  transition(
    key: BootKey,
    action: Exclude<SandboxAction, "created" | "starting">, // those are claims
    options: { readonly reason?: string; readonly attributes?: Readonly<Record<string, unknown>> } = {},
  ): boolean {
    return this.#database.transaction(() => {
      const record = this.findById(key.id);
      if (record === undefined || record.bootNumber !== key.bootNumber) return false;
      const status = TRANSITIONS[record.status][action];
      if (status === undefined) return false;
      // The run directory and the host stay recorded until the next process has made sure that they are gone.
      this.#database.run(
        "UPDATE sandbox SET status = ?, status_reason = ?, updated_at = ? WHERE id = ?",
        status,
        options.reason ?? null,
        Date.now(),
        key.id,
      );
      this.#record(key.id, record.name, action, {
        ...(options.reason === undefined ? {} : { reason: options.reason }),
        ...options.attributes,
      });
      return true;
    });
  }

  /** Records events that change no status, if the boot is still the sandbox's present one. */
  note(
    key: BootKey,
    events: readonly Pick<NewEvent, "action" | "attributes" | "timestamp">[],
    options: TransactionOptions = {},
  ): void {
    this.#database.transaction(() => {
      const record = this.findById(key.id);
      if (record?.bootNumber !== key.bootNumber || !isLive(record.status)) return;
      for (const event of events) {
        this.eventLog.append({ sandboxId: key.id, name: record.name, ...event });
      }
    }, options);
  }

  /**
   * Takes back a creation that did not succeed, as if it had never been, and moves its directory away in the same
   * transaction. Its VM host process has ended, whatever the status says: an abort may come when the guest answers
   * already. Does nothing to a sandbox that has been booted again since.
   */
  abandonCreate(
    key: BootKey,
    { reason, move }: { readonly reason: string; readonly move: DirectoryMove },
  ): void {
    this.#database.transaction(() => {
      const record = this.findById(key.id);
      if (record === undefined || record.bootNumber !== key.bootNumber || key.bootNumber !== 1) return;
      moveDirectory(move);
      if (isLive(record.status)) this.#removeRow(record, "failed", { error: reason });
      else this.#removeRow(record, "removed", {}); // it came up, and others ended it before its creator heard of it
    });
  }

  /** Runs `action` while no other process can take the boot away. @throws {SandboxNotFoundError} if it is not ours any more. */
  whileClaimed(key: BootKey, action: () => void): void {
    this.#database.transaction(() => {
      const record = this.findById(key.id);
      if (record?.bootNumber !== key.bootNumber || !isLive(record.status))
        throw new SandboxNotFoundError(key.id);
      action();
    });
  }

  /**
   * Forgets a sandbox that does not run and moves its directory to the trash, in one transaction: a namesake that is
   * created at the same moment never loses its own directory. The caller deletes what was moved, at leisure.
   */
  remove(id: string, move: DirectoryMove): "removed" | "live" | "absent" {
    return this.#database.transaction(() => {
      const record = this.findById(id);
      if (record === undefined) return "absent";
      if (isLive(record.status)) return "live";
      moveDirectory(move);
      this.#removeRow(record, "removed", {});
      return "removed";
    });
  }

  find(name: string): SandboxRecord | undefined {
    return this.#one("SELECT * FROM sandbox WHERE name = ?", name);
  }

  findById(id: string): SandboxRecord | undefined {
    return this.#one("SELECT * FROM sandbox WHERE id = ?", id);
  }

  /** The ids of all sandboxes. */
  ids(): Set<string> {
    return new Set(this.#database.all("SELECT id FROM sandbox").map((row) => text(row, "id")));
  }

  /** @throws {SandboxNotFoundError} */
  get(name: string): SandboxRecord {
    const record = this.find(name);
    if (record === undefined) throw new SandboxNotFoundError(name);
    return record;
  }

  /**
   * A page of sandboxes in order of creation, after `after` (which need not exist any more), which have all of `labels`
   * and one of `statuses`.
   */
  list(options: {
    /** @default {LIST_MAX} */
    readonly limit?: number | undefined;
    readonly after?: ListPosition | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly statuses?: readonly SandboxStatus[] | undefined;
  }): SandboxRecord[] {
    const conditions = Object.entries(options.labels ?? {}).map(
      () => "EXISTS (SELECT 1 FROM label WHERE sandbox_id = sandbox.id AND key = ? AND value = ?)",
    );
    const parameters: Parameter[] = Object.entries(options.labels ?? {}).flat();
    if (options.after !== undefined) {
      conditions.push("(created_at, id) > (?, ?)");
      parameters.push(options.after.createdAtMs, options.after.id);
    }
    if (options.statuses !== undefined) {
      conditions.push(`status IN (${options.statuses.map(() => "?").join(", ")})`);
      parameters.push(...options.statuses);
    }
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    return this.#database
      .all(
        `SELECT * FROM sandbox ${where} ORDER BY created_at, id LIMIT ?`,
        ...parameters,
        options.limit ?? LIST_MAX,
      )
      .map((row) => this.#decode(row));
  }

  /**
   * Notes that a process is about to use an image, until the sandbox that it makes of it says so itself. One that makes
   * several sandboxes at once claims it for each. The claims of a process that is gone count no more.
   */
  claimImage(digest: string, { pid, startTime }: ProcessIdentity): void {
    this.#database.run(
      `INSERT INTO image_claim (digest, pid, start_time) VALUES (?, ?, ?)
         ON CONFLICT (digest, pid, start_time) DO UPDATE SET uses = uses + 1`,
      digest,
      pid,
      startTime,
    );
  }

  /** Takes back one claim. */
  releaseImage(digest: string, { pid, startTime }: ProcessIdentity): void {
    const where = "WHERE digest = ? AND pid = ? AND start_time = ?";
    this.#database.run(`UPDATE image_claim SET uses = uses - 1 ${where}`, digest, pid, startTime);
    this.#database.run(`DELETE FROM image_claim ${where} AND uses = 0`, digest, pid, startTime);
  }

  /** Content ids of the images that sandboxes use, or are about to. */
  imageDigestsInUse(): Set<string> {
    return this.#database.transaction(() => {
      const used = this.#database.all("SELECT DISTINCT image_digest AS digest FROM sandbox");
      const claims = this.#database.all("SELECT * FROM image_claim").map((row) => ({
        digest: text(row, "digest"),
        holder: { pid: number(row, "pid"), startTime: text(row, "start_time") },
      }));
      const alive = claims.filter(({ holder }) => isSameProcess(holder));
      for (const claim of claims) if (!alive.includes(claim)) this.#forgetClaims(claim.holder);
      return new Set([...used.map((row) => text(row, "digest")), ...alive.map(({ digest }) => digest)]);
    });
  }

  #forgetClaims({ pid, startTime }: ProcessIdentity): void {
    this.#database.run("DELETE FROM image_claim WHERE pid = ? AND start_time = ?", pid, startTime);
  }

  #removeRow(record: SandboxRecord, action: string, attributes: Readonly<Record<string, unknown>>): void {
    this.#database.run("DELETE FROM sandbox WHERE id = ?", record.id);
    this.#record(record.id, record.name, action, attributes);
  }

  #record(
    sandboxId: string,
    name: string,
    action: string,
    attributes: Readonly<Record<string, unknown>>,
  ): void {
    this.eventLog.append({ sandboxId, name, action, attributes });
  }

  #one(sql: string, parameter: string): SandboxRecord | undefined {
    const row = this.#database.get(sql, parameter);
    return row === undefined ? undefined : this.#decode(row);
  }

  #decode(row: Row): SandboxRecord {
    const labels = this.#database.all(
      "SELECT key, value FROM label WHERE sandbox_id = ? ORDER BY key",
      text(row, "id"),
    );
    return decodeSandbox(row, labels);
  }
}

/** A directory that is not there is moved already. */
function moveDirectory({ from, to }: DirectoryMove): void {
  try {
    renameIfPresent(from, to);
  } catch (error) {
    throw new IoError(`move ${from} away`, from, error);
  }
}
