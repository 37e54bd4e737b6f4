import { type AnswerEnd, GENERATION, namedEnds, TURN_ENDS } from "../answer_ends.ts";
import type { GgufEntry } from "./encoding.ts";
import type { GgufMetadata } from "./metadata.ts";
import { NORMAL, USER_DEFINED } from "./tokenizer_json.ts";

const [EOS, EOT, EOM] = ["eos", "eot", "eom"].map((name) => `tokenizer.ggml.${name}_token_id`) as [
  string,
  string,
  string,
];

/** The name of the token that ends a message and not the turn. */
const MESSAGE_END = "<|eom_id|>";

/** A tag of HTML where it is a token of texts, as in Gemma's vocabulary. */
const TAG = "</s>";

/**
 * All tokens at which llama.cpp ends an answer: those of three keys, and those whose names say so.
 *
 * It also ends at names that divide files of source code, and at a `</s>` that is a tag of HTML:
 * neither ends an answer.
 */
export function ggufEnds(metadata: GgufMetadata): AnswerEnd[] {
  const tokens = metadata.texts("tokenizer.ggml.tokens") ?? [];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found = new Map<number, string[]>();
  const add = (id: number | undefined, source: string) => {
    if (id !== undefined) found.set(id, [...found.get(id) ?? [], source]);
  };
  for (const key of [EOS, EOT, EOM]) add(metadata.number(key), key);
  const kinds = metadata.numbers("tokenizer.ggml.token_type");
  const isText = (kind: number | undefined) => kind === NORMAL || kind === USER_DEFINED;
  const there = (name: string) =>
    ids.has(name) && !(name === TAG && isText(kinds?.[ids.get(name)!]));
  for (const name of namedEnds(there)) add(ids.get(name), "its name");
  return [...found].map(([id, sources]) => ({ id, token: tokens[id], sources }));
}

/** `generation_config.json` of a GGUF file, where more ends than `config.json` has room for. */
export function ggufGeneration(metadata: GgufMetadata): ReadonlyMap<string, string> {
  const ids = ggufEnds(metadata).map(({ id }) => id);
  const known = ids.length === 1 && ids[0] === metadata.number(EOS);
  if (ids.length === 0 || known) return new Map();
  const bos = metadata.number("tokenizer.ggml.bos_token_id");
  const json = { ...bos !== undefined && { bos_token_id: bos }, eos_token_id: ids };
  return new Map([[GENERATION, JSON.stringify(json, undefined, 2)]]);
}

/** A token that ends answers, as the vocabulary spells it. */
type NamedEnd = Pick<AnswerEnd, "id" | "token">;

/**
 * The ends of answers that a GGUF file says beside its last token: one of a turn, one of a message.
 * Those that llama.cpp does not know by their names have the two keys before others.
 */
export function endEntries(
  eos: number | undefined,
  ends: readonly NamedEnd[],
): Record<string, GgufEntry> {
  const { eot, eom } = keyed(eos, ends);
  return {
    ...eot && { [EOT]: { u32: eot.id } },
    ...eom && { [EOM]: { u32: eom.id } },
  };
}

/** The ends of answers at which llama.cpp goes on: their names say nothing, and no key is left. */
export function lostEnds(eos: number | undefined, ends: readonly NamedEnd[]): NamedEnd[] {
  const { eot, eom } = keyed(eos, ends);
  return nameless(eos, ends).filter((end) => end !== eot && end !== eom);
}

function keyed(eos: number | undefined, ends: readonly NamedEnd[]) {
  const rest = ends.filter(({ id }) => id !== eos);
  const unknown = nameless(eos, ends);
  const turn = ({ token }: NamedEnd) => TURN_ENDS.includes(token ?? "");
  const eot = rest.find(turn) ?? unknown[0] ??
    (rest.length > 0
      ? ends.find(({ id, token }) => id === eos && turn({ id, token }))
      : undefined) ??
    rest[0];
  const eom = rest.find(({ token }) => token === MESSAGE_END) ?? unknown.find((end) => end !== eot);
  return { eot, eom: eom === eot ? undefined : eom };
}

function nameless(eos: number | undefined, ends: readonly NamedEnd[]): NamedEnd[] {
  const names = new Set(namedEnds((name) => ends.some(({ token }) => token === name)));
  return ends.filter(({ id, token }) => id !== eos && !names.has(token ?? ""));
}
