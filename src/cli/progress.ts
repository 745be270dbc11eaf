/**
 * Shows progress: one line with a bar on a terminal, plain lines elsewhere.
 *
 * @module
 */
import { Presets, SingleBar } from "cli-progress";
import type { PullProgress, PullProgressListener } from "../../mod.ts";
import { formatBytes } from "./format.ts";
import type { Output } from "./output.ts";
import { PullMeter, type Stage } from "./pull_meter.ts";

/** Shows one thing that takes time. Disposal clears the terminal line; later calls begin a new one. */
export interface ProgressView extends Disposable {
  /** A step that says no more than its name: on a terminal only, as the result follows. */
  step(label: string): void;
  /** Takes the events of a pull. */
  readonly pull: PullProgressListener;
  /** How much of a disk is done: as a percentage only, as most of a disk's size is space that it does not use. */
  disk(label: string, progress: { readonly doneBytes: number; readonly totalBytes: number }): void;
}

/** Opens a view on `output`. */
export function showProgress(
  output: Output,
  { quiet = false }: { readonly quiet?: boolean | undefined } = {},
): ProgressView {
  if (quiet) return SILENT;
  return output.isTerminal ? new BarView(output) : new LineView(output);
}

const SILENT: ProgressView = {
  step: () => {},
  pull: () => {},
  disk: () => {},
  [Symbol.dispose]: () => {},
};

const BAR_COLUMNS = 28;
const LABEL_COLUMNS = 18;

/** One line that changes, and is gone at the end. */
class BarView implements ProgressView {
  readonly #meter = new PullMeter();
  readonly #bar: SingleBar;
  #isStarted = false;

  constructor(output: Output) {
    this.#bar = new SingleBar(
      {
        // It writes lines with cursor movements, and needs no more of the stream than that.
        stream: output.stream as NodeJS.WritableStream,
        format: (_options, _state, { stage }: { stage: Stage }) => formatStage(stage, output),
        clearOnComplete: true,
        hideCursor: true,
        gracefulExit: false, // signals are our own matter
      },
      Presets.shades_classic,
    );
  }

  readonly pull = (event: PullProgress): void => {
    // An image that was there all along is complete, too.
    if (event.kind !== "complete") this.#show(this.#meter.update(event));
  };

  step(label: string): void {
    this.#show({ label });
  }

  disk(
    label: string,
    { doneBytes, totalBytes }: { readonly doneBytes: number; readonly totalBytes: number },
  ): void {
    this.#show({ label, progress: { done: doneBytes, total: totalBytes } });
  }

  [Symbol.dispose](): void {
    if (this.#isStarted) this.#bar.stop();
    this.#isStarted = false;
  }

  #show(stage: Stage): void {
    if (this.#isStarted) this.#bar.update({ stage });
    else this.#bar.start(1, 0, { stage });
    this.#isStarted = true;
  }
}

/** `"Downloading        [#######       ] 12.3 of 24.6 MB"`, cut to the terminal. */
export function formatStage({ label, progress, bytes }: Stage, output: Output): string {
  const counted = bytes === undefined ? "" : ` ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`;
  if (progress === undefined) return `${label} …`;
  const fraction = progress.total === 0 ? 1 : Math.min(1, progress.done / progress.total);
  const filled = Math.floor(fraction * BAR_COLUMNS);
  const bar = `${output.style("cyan", "█".repeat(filled))}${output.style("dim", "░".repeat(BAR_COLUMNS - filled))}`;
  const percent = `${Math.floor(fraction * 100)}%`.padStart(5);
  const width = LABEL_COLUMNS + BAR_COLUMNS + percent.length + counted.length;
  return width < output.columns
    ? `${label.padEnd(LABEL_COLUMNS)}${bar}${percent}${counted}`
    : `${label}${percent}`.slice(0, output.columns - 1);
}

/** A line when something is reached. */
class LineView implements ProgressView {
  readonly #output: Output;
  #layerCount = 0;
  #isWork = false;
  #lastPercent = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  readonly pull = (event: PullProgress): void => {
    const line = this.#describe(event);
    if (line !== undefined) this.#output.line(line).catch(() => {}); // the next line of the command tells
  };

  step(): void {}

  disk(
    label: string,
    { doneBytes, totalBytes }: { readonly doneBytes: number; readonly totalBytes: number },
  ): void {
    const percent = totalBytes === 0 ? 100 : Math.floor((doneBytes / totalBytes) * 100);
    if (percent < 100 && percent < this.#lastPercent + 25) return;
    if (percent === this.#lastPercent) return;
    this.#lastPercent = percent;
    this.#output.line(`${label}: ${percent}%`).catch(() => {});
  }

  [Symbol.dispose](): void {}

  #describe(event: PullProgress): string | undefined {
    const layer = "layerIndex" in event ? `layer ${event.layerIndex + 1} of ${this.#layerCount}` : "";
    switch (event.kind) {
      case "resolving":
        return `${event.reference}: resolving`;
      case "resolved":
        this.#isWork = true;
        this.#layerCount = event.layerCount;
        return `${event.reference}: ${count(event.layerCount, "layer")}, ${formatBytes(event.totalDownloadBytes)}`;
      case "layerDownloadComplete":
        return `${layer}: downloaded, ${formatBytes(event.downloadedBytes)}`;
      case "layerMaterializeComplete":
        return `${layer}: unpacked`;
      case "stitchComplete":
        return `disk written, ${formatBytes(event.sizeBytes)}`;
      case "complete":
        return this.#isWork ? `${event.reference}: complete` : undefined;
      default:
        return undefined;
    }
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
