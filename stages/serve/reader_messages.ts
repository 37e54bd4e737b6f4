import type { ApiErrorParts } from "./api_error.ts";
import type { ReadingKind, Readings } from "./read.ts";
import type { ModelRules } from "./reading_rules.ts";

/** What a reader is told: first how to read, then one body at a time. */
export type ToReader =
  | {
    readonly type: "open";
    /** Of each model of the server. */
    readonly models: readonly {
      /** JSON of what its tokenizer is opened with; models may share one. */
      readonly source: Uint8Array<SharedArrayBuffer>;
      readonly rules: Omit<ModelRules, "tokenizer">;
    }[];
  }
  | {
    readonly type: "read";
    readonly kind: ReadingKind;
    readonly body: Uint8Array<ArrayBuffer>;
    /** Of each model. */
    readonly contexts: readonly number[];
  };

/** What a reader tells, and bytes of its heap: what it has no use for any more is among them. */
export type FromReader = Told & { readonly heap: number };

/** What a reader says of its start or of a body. */
export type Told =
  | { readonly type: "ready" }
  | { readonly type: "read"; readonly reading: Readings[ReadingKind] }
  /** The request is at fault. */
  | { readonly type: "refused"; readonly error: ApiErrorParts }
  /** The reader is at fault. */
  | { readonly type: "failed"; readonly reason: string };
