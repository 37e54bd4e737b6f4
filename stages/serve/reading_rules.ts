import type { ModelCard } from "./model_card.ts";
import type { ServeOptions } from "./options.ts";
import type { ServedTokenizer } from "./served_tokenizer.ts";

/** What requests are read by. */
export interface ReadingRules {
  readonly tokenizer: ServedTokenizer;
  /** The name under which requests ask for the model. */
  readonly card: Pick<ModelCard, "name">;
  readonly options: ServeOptions;
  /** Names of the other models that the server has. */
  readonly others?: readonly string[];
  /** Longest prompt and answer together, in tokens; 0 while the model is loading. */
  readonly context: number;
}

/** What requests for one of a server's models are read by, but for what changes. */
export type ModelRules = Omit<ReadingRules, "context">;
