import { architectureOf } from "../models/architecture.ts";
import type { DeploymentOptions } from "./options.ts";

/** How many tokens a model has, by its `config.json`. */
export function tokensOf(config: unknown): number {
  return architectureOf(config).config.vocabulary;
}

/** Throws where tokens that shall end answers are none of a model's, which are so many. */
export function refuseStopTokens(
  { stopTokenIds }: Pick<DeploymentOptions, "stopTokenIds">,
  tokens: number,
): void {
  const odd = stopTokenIds.find((id) => id >= tokens);
  if (odd === undefined) return;
  throw new TypeError(
    `Cannot serve with "stopTokenIds": ${odd} is no token of the model, expected ids below ${tokens}`,
  );
}
