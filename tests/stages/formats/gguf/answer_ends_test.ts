import { strict as assert } from "node:assert";
import type { AnswerEnd } from "../../../../stages/formats/answer_ends.ts";
import {
  endEntries,
  ggufEnds,
  ggufGeneration,
  lostEnds,
} from "../../../../stages/formats/gguf/answer_ends.ts";
import type { GgufValue } from "../../../../stages/formats/gguf/header.ts";
import { ggufMetadata } from "../../../../stages/formats/gguf/metadata.ts";

const TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "<stop>"];

function metadata(
  ids: Readonly<Record<string, number>>,
  tokens: readonly string[] = TOKENS,
  kinds: readonly number[] | undefined = undefined,
) {
  const entries: [string, GgufValue][] = [
    ["tokenizer.ggml.tokens", tokens],
    ...kinds ? [["tokenizer.ggml.token_type", kinds] as [string, GgufValue]] : [],
    ...Object.entries(ids).map(([name, id]) =>
      [`tokenizer.ggml.${name}_token_id`, id] as [string, number]
    ),
  ];
  return ggufMetadata({ version: 3, metadata: new Map(entries), tensors: [] } as never, "a.gguf");
}

Deno.test("a GGUF file ends answers at its three ids and at names that llama.cpp knows", () => {
  const told = ggufEnds(metadata({ eos: 0, eot: 4, eom: 3 }));
  const key = (name: string) => `tokenizer.ggml.${name}_token_id`;
  assert.deepEqual(
    told,
    [
      { id: 0, token: "<|endoftext|>", sources: [key("eos"), "its name"] },
      { id: 4, token: "<stop>", sources: [key("eot")] },
      { id: 3, token: "a", sources: [key("eom")] },
      { id: 2, token: "<|im_end|>", sources: ["its name"] },
    ] satisfies AnswerEnd[],
  );
});

Deno.test("a tag of HTML among the tokens of Gemma's texts ends nothing, the last token of Llama 2 does", () => {
  // Ids, names and kinds of gemma-3-270m's file: <eos> and <end_of_turn> are control tokens, </s> is a user's.
  const told = (tokens: readonly string[], kinds: readonly number[], eos: number) =>
    ggufEnds(metadata({ eos }, tokens, kinds)).map(({ id }) => id);
  assert.deepEqual(told(["<pad>", "<eos>", "<end_of_turn>", "</s>"], [3, 3, 3, 4], 1), [1, 2]);
  assert.deepEqual(told(["<unk>", "<s>", "</s>"], [2, 3, 3], 1), [1, 2]);
});

Deno.test("more ends than one come out as generation_config.json, one is in config.json anyway", () => {
  const json = (ids: Readonly<Record<string, number>>, tokens?: readonly string[]) => {
    const text = ggufGeneration(metadata(ids, tokens)).get("generation_config.json");
    return text === undefined ? undefined : JSON.parse(text);
  };
  assert.deepEqual(json({ bos: 1, eos: 0 }), { bos_token_id: 1, eos_token_id: [0, 2] });
  assert.deepEqual(json({ eos: 0, eot: 1 }, ["a", "b"]), { eos_token_id: [0, 1] });
  assert.deepEqual(json({ eot: 1 }, ["a", "b"]), { eos_token_id: [1] });
  assert.equal(json({ eos: 0 }, ["a", "b"]), undefined);
  assert.equal(json({}, []), undefined);
});

Deno.test("the keys of a GGUF file go to the end of the turn, and to what llama.cpp does not know", () => {
  const end = (id: number, token?: string) => ({ id, token });
  const [eos, eot, eom] = [end(0, "<|endoftext|>"), end(2, "<|im_end|>"), end(5, "<|eom_id|>")];
  const [stop, halt, third] = [end(7, "<stop>"), end(8, "<halt>"), end(9)];
  const keys = (id: number, ends: Parameters<typeof endEntries>[1]) =>
    Object.fromEntries(
      Object.entries(endEntries(id, ends)).map(([key, entry]) => [
        key.replace(/^tokenizer\.ggml\.|_token_id$/g, ""),
        (entry as { readonly u32: number }).u32,
      ]),
    );
  assert.deepEqual(keys(0, [eos]), {});
  assert.deepEqual(keys(0, [eos, eot]), { eot: 2 });
  assert.deepEqual(keys(0, [eos, eot, eom]), { eot: 2, eom: 5 });
  // The last token is the turn's end already: the other one has a name.
  assert.deepEqual(keys(2, [eot, eos]), { eot: 2 });
  assert.deepEqual(keys(0, [eos, stop]), { eot: 7 });
  assert.deepEqual(keys(2, [eot, eos, stop, halt]), { eot: 7, eom: 8 });
  assert.deepEqual(keys(0, [eos, eot, stop, halt]), { eot: 2, eom: 7 });
  assert.deepEqual(lostEnds(0, [eos, eot, stop, halt, third]), [halt, third]);
  assert.deepEqual(lostEnds(0, [eos, eot, eom, stop]), [stop]);
  assert.deepEqual(lostEnds(7, [stop, eot, eos]), []);
});
