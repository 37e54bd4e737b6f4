import { z } from "zod";
import { checkTokenizerLimit } from "./limits.ts";

/** A part of a `tokenizer.json`, such as its normalizer, before it is looked at. */
export type Component = { readonly type?: unknown } & Readonly<Record<string, unknown>>;

/** How each type of a part is made. */
export type ComponentMakers<T> = Readonly<Record<string, (component: Component) => T>>;

/** Where a regular expression or a string stands in a part. */
export const patternField = z.union([
  z.object({ Regex: z.string() }),
  z.object({ String: z.string() }),
], "neither a Regex nor a String");
/** See `patternField`. */
export type PatternField = z.output<typeof patternField>;

/**
 * Makes a part of a tokenizer from its JSON; a `Sequence` of them gives several.
 *
 * What the Rust library has and we have not is refused by its name, as is what neither has.
 */
export function makeComponents<T>(
  json: unknown,
  { part, list, makers }: {
    /** The name of the part, and that of the list in its `Sequence`. */
    readonly part: string;
    readonly list: string;
    readonly makers: ComponentMakers<T>;
  },
): T[] {
  if (json === null || json === undefined) return [];
  const component = json as Component;
  if (typeof json === "object" && component.type === "Sequence") {
    const parts = component[list];
    if (Array.isArray(parts)) {
      checkTokenizerLimit("steps", parts.length, `its ${part} has ${parts.length} steps`);
      return parts.flatMap((each) => makeComponents(each, { part, list, makers }));
    }
  }
  const { type } = component;
  const make = typeof type === "string" && Object.hasOwn(makers, type) ? makers[type] : undefined;
  if (make) return [make(component)];
  throw new TypeError(
    `Cannot use the tokenizer: its ${part} is ${
      typeof type === "string" ? type : "of no type"
    }, expected ${Object.keys(makers).join(", ")} or a Sequence of them`,
  );
}

/** The settings of a part; refuses by name what the part needs and has not. */
export function settings<S extends z.ZodType>(component: Component, schema: S): z.output<S> {
  const parsed = schema.safeParse(component);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TypeError(
    `Cannot use the tokenizer: ${String(component.type)} of tokenizer.json has ${
      issue!.path.join(".") || "fields"
    } that cannot be read (${
      issue!.message.toLowerCase()
    }), expected it as the tokenizers library writes it`,
  );
}
