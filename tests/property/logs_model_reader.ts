/** What a reader of a log has to get, by the model: see logs_model.ts. */
import type { LogModel, ModelEntry, ModelGeneration, ModelSource } from "./logs_model.ts";

/** The reader is told that it has lost something, and how much. */
export interface ExpectedLoss {
  readonly kind: "missed";
  readonly lostGenerations: number;
}

/** What the next read gives. */
export type Expected =
  | { readonly kind: "entry"; readonly entry: ModelEntry }
  | ExpectedLoss
  /** There is nothing: a reader that follows waits. */
  | { readonly kind: "none" };

/** A reader's place: the file that it holds open, and the next entry in it. */
export class ModelReader {
  readonly #model: LogModel;
  readonly sources: ReadonlySet<ModelSource>;
  readonly sinceMs: number;
  #held: ModelGeneration | undefined;
  #next = 0;

  constructor(model: LogModel, sources: ReadonlySet<ModelSource>, sinceMs = Number.NEGATIVE_INFINITY) {
    this.#model = model;
    this.sources = sources;
    this.sinceMs = sinceMs;
    const { retained } = model;
    this.#held =
      sinceMs > 0
        ? (retained.find(({ newestSeenMs }) => newestSeenMs >= sinceMs) ?? retained.at(-1))
        : retained[0];
  }

  /** Stands after `entry`. What opening there says: nothing, or what is lost. */
  resume(entry: ModelEntry): Expected {
    return this.resumeAt(entry.generation, entry.index + 1, entry.endOffset);
  }

  resumeAt(generation: number, index: number, offset: number): Expected {
    const exact = this.#model.retained.find((file) => file.generation === generation);
    const next = exact ?? this.#model.nextRetained(generation);
    if (next === undefined) throw new Error("The model has lost its newest generation");
    this.#held = next;
    this.#next = exact === undefined ? 0 : index;
    const wasAtEnd = next.generation === generation + 1 && next.previousSizeBytes === offset;
    if (exact !== undefined || wasAtEnd) return { kind: "none" };
    return { kind: "missed", lostGenerations: next.generation - generation };
  }

  /** Goes on to the next wanted entry. */
  read(): Expected {
    this.#held ??= this.#model.retained[0];
    for (;;) {
      const held = this.#held;
      if (held === undefined) return { kind: "none" };
      for (let entry = held.entries[this.#next]; entry?.complete === true; entry = held.entries[this.#next]) {
        this.#next++;
        if (this.sources.has(entry.source) && entry.stampMs >= this.sinceMs) return { kind: "entry", entry };
      }
      const next = this.#model.nextRetained(held.generation);
      if (next === undefined) return { kind: "none" };
      this.#held = next;
      this.#next = 0;
      const lostGenerations = next.generation - held.generation - 1;
      if (lostGenerations > 0) return { kind: "missed", lostGenerations };
    }
  }

  /** Whether {@linkcode read} would give something. */
  get hasNext(): boolean {
    const [held, next] = [this.#held, this.#next];
    const { kind } = this.read();
    this.#held = held;
    this.#next = next;
    return kind !== "none";
  }
}
