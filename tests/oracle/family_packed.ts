/**
 * Exports small random models of families, plain and in codes, for programs that are not ours:
 * `family_packed.py` reads them in transformers and compressed-tensors, `llama_cpp.mjs` those in GGUF.
 * Beside each lies what we make of it: `expected.json` has the ids of a window and the log-likelihoods of
 * all but the first, `request.json` what `llama_cpp.mjs` asks for.
 *
 * Run: deno run -A tests/oracle/family_packed.ts OUT variant ...
 */
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Artifact } from "../../pipeline/artifact.ts";
import { exportModel } from "../../stages/export.ts";
import { Model } from "../../stages/models/model.ts";
import { quantize } from "../../stages/quantize.ts";
import { logitsOf } from "../support/forward_pass.ts";
import { writeShaped } from "../support/packable_models.ts";
import { StageChain } from "../support/stage_chain.ts";

const VOCABULARY = 96;
const IDS = Array.from({ length: 40 }, (_, i) => (37 * i + 11) % (VOCABULARY - 1));
const W8 = { method: "rtn", weights: { bits: 8, zero: "none", group: "row" } };
const W4A16 = { method: "rtn", weights: { bits: 4, zero: "pre_scale", group: 128 } };
/**
 * What is exported: a format, codes where it has some, and those that we compute with, which leave inputs as
 * they are where the other program does.
 */
const EXPORTS: Readonly<Record<string, readonly [format: object, codes?: object, ours?: object]>> =
  {
    huggingface: [{ format: "huggingface", dtype: "float32" }],
    gguf: [{ format: "gguf", dtype: "float32" }],
    gguf_w4a16: [
      { format: "gguf", dtype: "float32" },
      { method: "rtn", weights: { bits: 4, zero: "post_scale", group: 32 } },
    ],
    compressed_tensors_w4a16: [{ format: "compressed_tensors", dtype: "float32" }, W4A16],
    compressed_tensors_w8a8: [
      { format: "compressed_tensors", dtype: "float32" },
      { ...W8, activations: "dynamic" },
      W8,
    ],
  };

const [out, ...variants] = Deno.args;
if (out === undefined || variants.length === 0) {
  throw new TypeError("Cannot export: expected family_packed.ts OUT variant ...");
}
await using chain = await StageChain.open();
for (const family of variants) {
  const plain = await writeShaped(family, await chain.directory());
  await writeLetters(plain.path);
  const coded = async (codes: object | undefined) =>
    codes ? await chain.run(quantize, { model: plain }, codes) : plain;
  for (const [name, [format, codes, ours = codes]] of Object.entries(EXPORTS)) {
    const model = await coded(codes);
    try {
      const { path } = await chain.run(exportModel, { model, reports: [] }, format);
      const to = `${out}/${family}.${name}`;
      await Deno.mkdir(to, { recursive: true });
      for await (const { name } of Deno.readDir(path)) {
        await Deno.copyFile(`${path}/${name}`, `${to}/${name}`);
      }
      const expected = { ids: IDS, logLikelihoods: await logLikelihoods(await coded(ours)) };
      await Deno.writeTextFile(`${to}/expected.json`, JSON.stringify(expected));
      await Deno.writeTextFile(`${to}/request.json`, JSON.stringify({ windows: [IDS] }));
    } catch (error) {
      // deno-lint-ignore no-console -- what cannot be is told
      console.log(`${family} ${name}: ${(error as Error).message}`);
    }
  }
}

/** A tokenizer of as many letters as there are ids, which GGUF files must have. */
async function writeLetters(directory: string): Promise<void> {
  const letters = Array.from({ length: VOCABULARY - 2 }, (_, i) => String.fromCharCode(33 + i));
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const flags = {
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
  const end = { id: VOCABULARY - 1, content: "<|end|>", ...flags };
  const vocab = Object.fromEntries([...letters, "Ġ", end.content].map((token, id) => [token, id]));
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [end],
    normalizer: null,
    pre_tokenizer: bytes,
    post_processor: null,
    decoder: bytes,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  };
  await Deno.writeTextFile(`${directory}/tokenizer.json`, JSON.stringify(tokenizer));
  const config = { tokenizer_class: "PreTrainedTokenizerFast", eos_token: end.content };
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, JSON.stringify(config));
}

/** Log-likelihoods of the ids but the first. */
async function logLikelihoods({ path }: Artifact): Promise<number[]> {
  await using device = await Cpu.open();
  using model = await Model.open(path, device, { weightBytes: Infinity });
  const logits = await logitsOf(device, model, IDS);
  return IDS.slice(1).map((id, at) => {
    const row = logits.subarray(at * VOCABULARY, (at + 1) * VOCABULARY);
    const most = row.reduce((a, b) => Math.max(a, b));
    const sum = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
    return row[id]! - most - Math.log(sum);
  });
}
