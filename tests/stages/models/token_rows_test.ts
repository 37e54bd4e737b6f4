import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import type { Artifact } from "../../../pipeline/artifact.ts";
import { calibrate } from "../../../stages/calibrate.ts";
import { evaluate } from "../../../stages/evaluate.ts";
import { bytesOf } from "../../../stages/formats/half.ts";
import { quantize } from "../../../stages/quantize.ts";
import { StageChain } from "../../support/stage_chain.ts";

/** A text of 64 tokens with some that the 96 rows of the families do not have. */
async function strangeText(chain: StageChain): Promise<Artifact<"tokens">> {
  const tokens = await chain.tokens(64);
  const ids = new Uint32Array((await Deno.readFile(`${tokens.path}/tokens.u32`)).buffer);
  ids[20] = 96;
  ids[21] = 500;
  await Deno.writeFile(`${tokens.path}/tokens.u32`, bytesOf(ids));
  return tokens;
}

const MESSAGE =
  /^Cannot run the text: 2 of its tokens, such as 96, have no row in the model's embedding table, expected ids below 96; its tokenizer is larger than the model$/;

Deno.test("texts with tokens that a model has no row for are refused, windows without them are not", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const model = chain.family("llama_wide_heads");
  const tokens = await strangeText(chain);
  const inputs = { model, tokens };
  const message = MESSAGE;
  await chain.refuses(evaluate, { inputs, params: { context: 32 }, message });
  await chain.refuses(calibrate, { inputs, params: { context: 32, windows: 2 }, message });
  const stats = await chain.calibrate(model, { gram: true });
  const weights = { bits: 4, group: "row" };
  const gptq = { method: "gptq", weights, inputs: "quantized", windows: 2, context: 32 };
  await chain.refuses(quantize, { inputs: { ...inputs, stats }, params: gptq, message });
  await chain.run(evaluate, inputs, { context: 16, windows: 1 });
  await chain.run(calibrate, inputs, { context: 16, windows: 1 });
});
