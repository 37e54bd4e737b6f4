import type { GgufValue } from "../gguf/header.ts";
import { ggufMetadata } from "../gguf/metadata.ts";
import { ggufTokenizer } from "../gguf/tokenizer.ts";
import type { TokenizerFiles } from "../checkpoint.ts";
import { ProtobufError, type ProtobufField, protobufFields } from "./protobuf.ts";

/** Fields of SentencePiece's `sentencepiece_model.proto`, by their numbers. */
const MODEL = { pieces: 1, trainer: 2, normalizer: 3 } as const;
const PIECE = { piece: 1, score: 2, type: 3 } as const;
const TRAINER = { type: 3, suffix: 24, bytes: 35, unknown: 40, bos: 41, eos: 42, pad: 43 } as const;
const NORMALIZER = { name: 1, charsmap: 2, prefix: 3, extra: 4, escapes: 5 } as const;
const TYPES = ["", "UNIGRAM", "BPE", "WORD", "CHAR"];
const BPE = TYPES.indexOf("BPE");
/** Ids are 32-bit; negative ones come as the largest numbers. */
const MOST_IDS = 2 ** 31;

/**
 * The tokenizer of a `tokenizer.model` of SentencePiece, of BPE as Llama, Mistral and Gemma have it;
 * `config` is what lies beside it.
 *
 * Throws a `TypeError` where it normalizes text otherwise than by marking spaces.
 */
export function sentencePieceFiles(
  bytes: Uint8Array,
  path: string,
  config: Readonly<Record<string, unknown>>,
): TokenizerFiles {
  try {
    return read(bytes, path, config);
  } catch (cause) {
    if (!(cause instanceof ProtobufError)) throw cause;
    throw new SyntaxError(
      `Cannot read "${path}": ${cause.message}, expected a model of SentencePiece`,
      { cause },
    );
  }
}

function read(
  bytes: Uint8Array,
  path: string,
  config: Readonly<Record<string, unknown>>,
): TokenizerFiles {
  const [tokens, scores, kinds]: [string[], number[], number[]] = [[], [], []];
  let trainer = new Map<number, ProtobufField>();
  let normalizer = new Map<number, ProtobufField>();
  const message = (value: ProtobufField) => {
    if (typeof value !== "number") return new Map(protobufFields(value));
    throw new ProtobufError("a message is a number");
  };
  for (const [number, value] of protobufFields(bytes)) {
    if (number === MODEL.trainer) trainer = message(value);
    if (number === MODEL.normalizer) normalizer = message(value);
    if (number !== MODEL.pieces) continue;
    const piece = message(value);
    tokens.push(text(piece.get(PIECE.piece)));
    scores.push(Number(piece.get(PIECE.score) ?? 0));
    kinds.push(Number(piece.get(PIECE.type) ?? 1));
  }
  if (tokens.length === 0) throw new ProtobufError("it has no pieces");
  const says = (fields: ReadonlyMap<number, ProtobufField>, field: number, otherwise: boolean) =>
    fields.has(field) ? fields.get(field) !== 0 : otherwise;
  const refusals: readonly (readonly [boolean, string, string])[] = [
    [
      trainer.get(TRAINER.type) !== BPE,
      `cuts text by ${TYPES[Number(trainer.get(TRAINER.type) ?? 1)] ?? "another kind"}`,
      "BPE",
    ],
    [
      (normalizer.get(NORMALIZER.charsmap) as Uint8Array | undefined)?.length !== undefined &&
      (normalizer.get(NORMALIZER.charsmap) as Uint8Array).length > 0,
      `normalizes text by ${text(normalizer.get(NORMALIZER.name)) || "a map of its own"}`,
      "identity",
    ],
    [says(normalizer, NORMALIZER.extra, true), "removes extra white space", "it kept"],
    [!says(normalizer, NORMALIZER.escapes, true), "does not mark spaces", "them marked"],
    [says(trainer, TRAINER.suffix, false), "marks spaces behind words", "them marked before"],
  ];
  const refused = refusals.find(([is]) => is);
  if (refused) {
    throw new TypeError(
      `Cannot use "${path}": it ${refused[1]}, expected ${
        refused[2]
      }; save the tokenizer with transformers, which writes tokenizer.json`,
    );
  }
  const id = (field: number, otherwise: number): number | undefined => {
    const value = Number(trainer.get(field) ?? otherwise);
    return value < MOST_IDS && value < tokens.length ? value : undefined;
  };
  const ids = {
    unknown: id(TRAINER.unknown, 0),
    bos: id(TRAINER.bos, 1),
    eos: id(TRAINER.eos, 2),
    padding: id(TRAINER.pad, MOST_IDS),
  };
  const metadata: [string, GgufValue][] = [
    ["model", "llama"],
    ["tokens", tokens],
    ["scores", scores],
    ["token_type", kinds],
    ["add_space_prefix", says(normalizer, NORMALIZER.prefix, true)],
    ...Object.entries(ids).flatMap(([name, id]): [string, GgufValue][] =>
      id === undefined ? [] : [[`${name}_token_id`, id]]
    ),
    ...["add_bos_token", "add_eos_token"].flatMap((name): [string, GgufValue][] =>
      typeof config[name] === "boolean" ? [[name, config[name]]] : []
    ),
  ];
  const header = {
    metadata: new Map(metadata.map(([name, value]) => [`tokenizer.ggml.${name}`, value])),
    tensors: [],
  };
  const files = ggufTokenizer(ggufMetadata(header, path))!;
  return { tokenizer: files.tokenizer, config: { ...files.config as object, ...config } };
}

function text(value: ProtobufField | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") throw new ProtobufError("a text is a number");
  return new TextDecoder().decode(value);
}
