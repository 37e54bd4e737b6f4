import { z } from "zod";
import { type Component, type ComponentMakers, makeComponents, settings } from "./component.ts";
import { checkTokenId } from "./limits.ts";

/** Puts what the model wants around the tokens of a text. */
type Frame = (ids: readonly number[]) => readonly number[];

const template = z.object({
  single: z.array(z.union([
    z.object({ Sequence: z.object({ id: z.string() }) }),
    z.object({ SpecialToken: z.object({ id: z.string() }) }),
  ], "neither a Sequence nor a SpecialToken")),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.unknown()) })),
});

function templateFrame(component: Component): Frame {
  const { single, special_tokens: tokens } = settings(component, template);
  const parts = single.map((part): readonly number[] | undefined => {
    if ("Sequence" in part) {
      if (part.Sequence.id === "A") return undefined;
      throw new TypeError(
        `Cannot use the tokenizer: its TemplateProcessing puts text ${part.Sequence.id} into single, expected A`,
      );
    }
    const { id } = part.SpecialToken;
    const token = Object.hasOwn(tokens, id) ? tokens[id] : undefined;
    if (!token) {
      throw new TypeError(
        `Cannot use the tokenizer: its TemplateProcessing lacks the token ${
          JSON.stringify(id)
        } that it puts around texts, expected it in special_tokens`,
      );
    }
    return token.ids.map((each) => {
      checkTokenId(each, id);
      return each;
    });
  });
  return (ids) => parts.flatMap((part) => part ?? ids);
}

function pairFrame(component: Component): Frame {
  const token = z.tuple([z.string(), z.int().nonnegative()]);
  const { cls: [, first], sep: [, last] } = settings(
    component,
    z.object({ cls: token, sep: token }),
  );
  return (ids) => [first, ...ids, last];
}

const MAKERS: ComponentMakers<Frame | undefined> = {
  BertProcessing: pairFrame,
  // Moves offsets, which nobody asks for here.
  ByteLevel: () => undefined,
  RobertaProcessing: pairFrame,
  TemplateProcessing: templateFrame,
};

/** Reads the `post_processor` of a `tokenizer.json`. */
export function makePostProcessor(json: unknown): Frame {
  const steps = makeComponents(json, {
    part: "post_processor",
    list: "processors",
    makers: MAKERS,
  });
  const frames = steps.filter((step) => step !== undefined);
  if (frames.length > 1) {
    throw new TypeError(
      `Cannot use the tokenizer: ${frames.length} steps of its post_processor put tokens around texts, expected one`,
    );
  }
  return frames[0] ?? ((ids) => ids);
}
