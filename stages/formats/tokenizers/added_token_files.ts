import type { TokenizerFiles } from "../checkpoint.ts";

/** A token as the files beside a vocabulary say it. */
interface NamedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Tokens that `tokenizer_config.json` and `special_tokens_map.json` name for a purpose. */
const PURPOSES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/**
 * A tokenizer with the tokens that files beside its vocabulary add: `added_tokens_decoder` of
 * `tokenizer_config.json`, `added_tokens.json`, and those named for a purpose, which are special.
 */
export function withAddedTokens(
  { tokenizer, config }: TokenizerFiles,
  more: { readonly added: unknown; readonly special: unknown },
): TokenizerFiles {
  const json = tokenizer as {
    readonly added_tokens: readonly NamedToken[];
    readonly model: { readonly vocab: Readonly<Record<string, number>> };
  };
  const settings = { ...record(more.special), ...record(config) };
  const found = new Map<string, NamedToken>(json.added_tokens.map((each) => [each.content, each]));
  for (const [id, each] of Object.entries(record(settings.added_tokens_decoder))) {
    const content = spelling(each);
    if (content !== undefined) {
      found.set(content, { ...plain(content, Number(id)), ...record(each) } as NamedToken);
    }
  }
  for (const [content, id] of Object.entries(record(more.added))) {
    if (!found.has(content)) found.set(content, plain(content, Number(id)));
  }
  const purposes = [
    ...PURPOSES.map((name) => settings[name]),
    ...[settings.additional_special_tokens ?? []].flat(),
  ];
  for (const each of purposes) {
    const content = spelling(each);
    if (content === undefined) continue;
    const known = found.get(content);
    const id = known?.id ??
      (Object.hasOwn(json.model.vocab, content) ? json.model.vocab[content] : undefined);
    if (id !== undefined) found.set(content, { ...plain(content, id), ...known, special: true });
  }
  const added = [...found.values()].sort((a, b) => a.id - b.id);
  const named = Object.fromEntries(
    PURPOSES.flatMap((name) => settings[name] === undefined ? [] : [[name, settings[name]]]),
  );
  return {
    tokenizer: { ...json, added_tokens: added },
    config: { ...config as object, ...named },
  };
}

function plain(content: string, id: number): NamedToken {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return { id, content, ...flags, special: false };
}

function spelling(token: unknown): string | undefined {
  const content = typeof token === "string" ? token : record(token).content;
  return typeof content === "string" && content !== "" ? content : undefined;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
