import { z } from "zod";
import type { AnswerEnd } from "../answer_ends.ts";
import { endEntries } from "./answer_ends.ts";
import type { GgufEntry } from "./encoding.ts";
import { type TokenizerJson, WRITE } from "./tokenizer_json.ts";

/** The first and last tokens, whether texts begin and end with them, and other ends of answers. */
export function specialTokens(
  { post_processor: post, model: { unk_token: unknown } }: TokenizerJson,
  ids: ReadonlyMap<string, number>,
  { config, model, ends }: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly model: Readonly<Record<string, unknown>>;
    readonly ends: readonly AnswerEnd[];
  },
): Record<string, GgufEntry> {
  const around = template(post);
  const named = (key: string): number | undefined => {
    const value = config[key];
    const token = typeof value === "string"
      ? value
      : (value as { content?: string } | null)?.content;
    return token === undefined ? undefined : ids.get(token);
  };
  const numbered = (key: string): number | undefined => {
    const [id] = [model[key]].flat();
    return typeof id === "number" && id >= 0 ? id : undefined;
  };
  const found = {
    bos: around.first === undefined
      ? named("bos_token") ?? numbered("bos_token_id")
      : ids.get(around.first),
    eos: around.last === undefined
      ? named("eos_token") ?? numbered("eos_token_id") ?? ends[0]?.id
      : ids.get(around.last),
    unknown: named("unk_token") ?? (unknown ? ids.get(unknown) : undefined),
    padding: named("pad_token") ?? numbered("pad_token_id"),
  };
  const entries = Object.entries(found).flatMap(([name, id]) =>
    id === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { u32: id }] as const]
  );
  return {
    ...Object.fromEntries(entries),
    ...endEntries(found.eos, ends),
    "tokenizer.ggml.add_bos_token": {
      bool: post ? around.first !== undefined : config.add_bos_token === true,
    },
    "tokenizer.ggml.add_eos_token": {
      bool: post ? around.last !== undefined : config.add_eos_token === true,
    },
  };
}

const templateJson = z.looseObject({
  single: z.array(z.union([
    z.strictObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
    z.strictObject({ Sequence: z.looseObject({ id: z.string() }) }),
  ])),
});

/** The tokens that a post-processor puts before and behind a text. */
function template(
  post: TokenizerJson["post_processor"],
): { readonly first?: string; readonly last?: string } {
  if (!post || post.type === "ByteLevel") return {};
  if (post.type === "Sequence" && Array.isArray(post.processors)) {
    return Object.assign({}, ...post.processors.map(template));
  }
  const parsed = templateJson.safeParse(post);
  const parts = post.type === "TemplateProcessing" && parsed.success ? parsed.data.single : [];
  const text = parts.findIndex((part) => "Sequence" in part);
  const special = parts.map((part) => "SpecialToken" in part ? part.SpecialToken.id : undefined);
  const [first, last] = [special[text - 1], special[text + 1]];
  if (text < 0 || text > 1 || parts.length - text > 2) {
    throw new TypeError(
      `${WRITE}: texts are put into ${post.type} ${
        JSON.stringify(post.single ?? "")
      }, expected at most one token before and one behind`,
    );
  }
  return { ...first !== undefined && { first }, ...last !== undefined && { last } };
}
