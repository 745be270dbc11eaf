/**
 * What a sandbox uses, again and again.
 *
 * @module
 */
import { z } from "zod";
import type { BackendSandbox } from "../../backend/backend.ts";
import { type Clock, systemClock } from "../../base/clock.ts";
import { AbortedError } from "../../base/errors.ts";
import { checkFields, parseConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";
import { CPU_WINDOW_MS, compare, isEnd, type Reading, readMetrics, type SandboxMetrics } from "./metrics.ts";

/** Shorter, and the measuring would be a good part of what is measured. */
const INTERVAL_MS_MIN = CPU_WINDOW_MS;
/** How long a stream may take to notice the end of its sandbox, in milliseconds. */
const LOOK_MS = 1000;

/** How to stream metrics. */
export interface MetricsStreamOptions {
  /** Ends the stream with `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

const intervalSchema = z.int().min(INTERVAL_MS_MIN).max(TIMER_MS_MAX);
const OPTIONS = { signal: true } as const satisfies Record<keyof MetricsStreamOptions, true>;

/** Opens a stream. Nothing is measured until it is read. @throws {InvalidConfigError} */
export function openMetricsStream(
  sandbox: BackendSandbox,
  intervalMs: number,
  options: MetricsStreamOptions,
): MetricsStream {
  parseConfig(intervalSchema, intervalMs, "intervalMs");
  checkFields(options, OPTIONS, "options");
  return new MetricsStream(new MetricsFeed(sandbox, intervalMs), options.signal);
}

/** Measures when it is asked, and not more often than once in an interval. For one who asks at a time. */
export class MetricsFeed {
  readonly #sandbox: BackendSandbox;
  readonly #intervalMs: number;
  readonly #clock: Clock;
  /** What the next sample is compared with, and when it is due. */
  #last: { readonly reading: Reading; readonly nextMs: number } | undefined;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(sandbox: BackendSandbox, intervalMs: number, clock: Clock = systemClock) {
    this.#sandbox = sandbox;
    this.#intervalMs = intervalMs;
    this.#clock = clock;
  }

  /**
   * The next sample; `undefined` once the sandbox has ended, or after {@linkcode close}. The first comes as soon as there are
   * two readings to compare.
   *
   * @throws {SandboxNotRunningError} if it does not run to begin with.
   */
  async next(): Promise<SandboxMetrics | undefined> {
    try {
      this.#last ??= await this.#read(CPU_WINDOW_MS);
      await this.#waitUntil(this.#last.nextMs);
      if (this.#isOver) return undefined;
      const before = this.#last.reading;
      this.#last = await this.#read(this.#intervalMs);
      if (this.#isOver || this.#last.reading.bootNumber !== before.bootNumber) return this.close();
      return compare(before, this.#last.reading);
    } catch (error) {
      if (this.#isOver || (this.#last !== undefined && isEnd(error))) return this.close();
      throw error;
    }
  }

  /** Ends the feed, and the wait that is under way. */
  close(): undefined {
    this.#isOver = true;
    this.#wake();
  }

  async #read(pauseMs: number): Promise<{ reading: Reading; nextMs: number }> {
    const reading = await readMetrics(this.#sandbox);
    return { reading, nextMs: this.#clock.now() + pauseMs };
  }

  /** Rejects if the sandbox has ended by then. */
  async #waitUntil(timeMs: number): Promise<void> {
    for (;;) {
      const restMs = timeMs - this.#clock.now();
      if (restMs <= 0 || this.#isOver) return;
      await this.#pause(Math.min(restMs, LOOK_MS));
      if (restMs > LOOK_MS && !this.#isOver) await this.#sandbox.connect();
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** What a stream calls. Written out, since the runtimes' types do not agree on a name for it. */
interface SampleSource {
  start(controller: ReadableStreamDefaultController<SandboxMetrics>): void;
  pull(): Promise<void>;
  cancel(): void;
}

/** The constructor of `ReadableStream` for sources without a type of their own. */
const SampleStream: new (
  source: SampleSource,
  strategy: { highWaterMark: number },
) => ReadableStream<SandboxMetrics> = ReadableStream;

/**
 * A stream of samples: a `ReadableStream` with {@linkcode recv} for single ones and `await using` to close it.
 *
 * It measures when it is read, and at most once in its interval: a reader that is slow gets fewer samples, each of the moment
 * when it is read. It ends when the sandbox does.
 *
 * @example
 * ```ts with web
 * for await (const { cpuPercent, memoryBytes } of sandbox.metricsStream(1000)) {
 *   console.log(`${cpuPercent.toFixed(1)} %`, memoryBytes);
 *   if (memoryBytes > 0) break;
 * }
 * ```
 */
export class MetricsStream extends SampleStream implements AsyncDisposable {
  readonly #feed: MetricsFeed;
  readonly #controller: ReadableStreamDefaultController<SandboxMetrics>;
  #forgetSignal: () => void = () => {};
  #isOver = false;

  /** Use `Sandbox.metricsStream()`. */
  constructor(feed: MetricsFeed, signal: AbortSignal | undefined) {
    let controller: ReadableStreamDefaultController<SandboxMetrics> | undefined;
    super(
      {
        start(given) {
          controller = given;
        },
        pull: () => this.#pull(),
        cancel: () => void this.#end(),
      },
      { highWaterMark: 0 }, // measure only what somebody wants to have
    );
    this.#feed = feed;
    this.#controller = controller!;
    if (signal !== undefined) this.#heed(signal);
  }

  /**
   * Waits for the next sample; `null` at the end.
   *
   * @throws {TypeError} if a reader, an iteration or another `recv()` has locked the stream.
   */
  async recv(): Promise<SandboxMetrics | null> {
    const reader = this.getReader();
    try {
      return (await reader.read()).value ?? null;
    } finally {
      reader.releaseLock();
    }
  }

  /** Ends the stream, even while it is being read. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end()) this.#controller.close();
  }

  async #pull(): Promise<void> {
    try {
      const sample = await this.#feed.next();
      if (this.#isOver) return;
      if (sample !== undefined) this.#controller.enqueue(sample);
      else if (this.#end()) this.#controller.close();
    } catch (error) {
      if (this.#end()) this.#controller.error(error);
    }
  }

  #heed(signal: AbortSignal): void {
    const abort = () => {
      if (this.#end()) this.#controller.error(new AbortedError("reading metrics", signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    this.#forgetSignal = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
  }

  /** Stops measuring. False if that was done before. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#forgetSignal();
    this.#feed.close();
    return true;
  }
}
