import { z } from "zod";
import * as families from "./families/mod.ts";
import type { Family, Layout } from "./family.ts";

/** The family of a `config.json`, and how it is found. */
export interface FoundFamily {
  readonly family: Family;
  /** The class of transformers, such as `LlamaForCausalLM`. */
  readonly name: string;
  /** Where the config does not name the class: what it is found by, such as `model_type "llama"`. */
  readonly by: string | undefined;
}

const FAMILIES: readonly Family[] = Object.values<Family>(families);
/** Names of the classes that run. */
const CLASSES: readonly string[] = FAMILIES.flatMap(({ architectures }) => architectures);

const named = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().nullish(),
});

/** The family that runs a `config.json`, see {@linkcode findFamily}; undefined where none does. */
export function knownFamily(json: unknown): FoundFamily | undefined {
  const { architectures: [stated], model_type: type } = statedNames(json);
  const found = stated === undefined || /Model$/.test(stated)
    ? CLASSES.find((name) => type !== undefined && isType(name, type))
    : stated;
  const family = FAMILIES.find(({ architectures }) => architectures.includes(found ?? ""));
  return family &&
    { family, name: found!, by: found === stated ? undefined : `model_type "${type}"` };
}

/**
 * The family that runs a `config.json`: by its class, or by its `model_type` where it names no class or
 * one without a head. Throws and lists the known classes where none does.
 */
export function findFamily(json: unknown): FoundFamily {
  const family = knownFamily(json);
  if (family) return family;
  const { architectures: [stated], model_type: type } = statedNames(json);
  const which = stated !== undefined
    ? `"${stated}"`
    : type
    ? `of model_type "${type}"`
    : "of config.json, which names none";
  throw new TypeError(`Cannot run architecture ${which}: expected ${CLASSES.join(", ")}`);
}

function statedNames(json: unknown) {
  const { architectures, model_type } = named.safeParse(json).data ?? {};
  return { architectures: architectures ?? [], model_type };
}

/** Whether a class has a head on the models of a type, as transformers calls both. */
function isType(name: string, type: string | null): boolean {
  const plain = type?.replace(/_text$/, "").replaceAll("_", "");
  return name.toLowerCase() === `${plain}forcausallm`;
}

/** What a model would be in every family that can read its `config.json`, by the name of the class. */
export function layoutsOf(json: unknown): readonly (readonly [name: string, layout: Layout])[] {
  return FAMILIES.flatMap(({ architectures: [name = ""], config, layout }) => {
    try {
      return [[name, layout(config(json))] as const];
    } catch {
      return [];
    }
  });
}
