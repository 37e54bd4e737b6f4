import type { Engine } from "../engine/engine.ts";
import type { ServeMetrics } from "./metrics.ts";
import type { ModelCard } from "./model_card.ts";
import type { ServeOptions } from "./options.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";

/** What the routes of a server work with. */
export interface ServeContext {
  readonly engine: Engine;
  readonly tokenizer: ServedTokenizer;
  readonly card: ModelCard;
  readonly options: ServeOptions;
  readonly metrics: ServeMetrics;
  /** When it started, in seconds since 1970. */
  readonly created: number;
  /** Aborted when requests under way are given up. */
  readonly closing: AbortSignal;
  /** Requests under way. */
  readonly open: Set<object>;
  /** Whether no more requests are taken. */
  readonly draining: () => boolean;
}

/** What answers say of the weights and the program behind them. */
export function fingerprintOf({ digest }: ModelCard): string {
  return `fp_${digest.slice(0, 12)}`;
}
