import { makeBpe } from "./bpe.ts";
import type { Component, ComponentMakers } from "./component.ts";
import type { TokenModel } from "./model.ts";
import { makeUnigram } from "./unigram.ts";
import { makeWordLevel, makeWordPiece } from "./words.ts";

const MODELS: ComponentMakers<TokenModel> = {
  BPE: makeBpe,
  Unigram: makeUnigram,
  WordLevel: makeWordLevel,
  WordPiece: makeWordPiece,
};

/** Reads the `model` of a `tokenizer.json`; old files leave out which kind it is. */
export function makeModel(json: unknown): TokenModel {
  const component = (typeof json === "object" && json !== null ? json : {}) as Component;
  const type = component.type ?? kindOf(component);
  const make = typeof type === "string" && Object.hasOwn(MODELS, type) ? MODELS[type] : undefined;
  if (make) return make({ ...component, type });
  throw new TypeError(
    `Cannot use the tokenizer: its model is ${type ?? "of no type"}, expected ${
      Object.keys(MODELS).join(", ")
    }`,
  );
}

function kindOf(component: Component): string | undefined {
  if (Array.isArray(component.merges)) return "BPE";
  if (Array.isArray(component.vocab)) return "Unigram";
  if ("max_input_chars_per_word" in component) return "WordPiece";
  return "vocab" in component ? "WordLevel" : undefined;
}
