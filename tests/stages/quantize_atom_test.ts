import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { calibrate, calibrate_kv, quantize, reorder } from "../../stages/mod.ts";
import { closePerplexity, codesOf, mean, meanOf, tokensOf } from "../support/fake_oracle.ts";
import { StageChain } from "../support/stage_chain.ts";

const ORACLE = fileURLToPath(new URL("../testdata/atom.st", import.meta.url));
const RECIPE = new URL("../../configs/atom.yaml", import.meta.url);
/** Steps of the recipe whose settings the oracle has too. */
const { ordered: order, kv4, w4a4kv4 } = parse(await Deno.readTextFile(RECIPE)).steps;

Deno.test("Atom's recipe gives the codes and the scores of its definition in PyTorch", async () => {
  await using chain = await StageChain.open();
  using oracle = await openSafetensors(ORACLE);
  const ids = async (name: string) => Uint32Array.from(await oracle.read(name), Number);
  const [windows, context] = oracle.tensors.get("calibration")!.shape as [number, number];
  const tokens = await tokensOf(chain, await ids("calibration"));
  const source = chain.embedded();
  const watched = { windows, context, gram: false, rows: 0 };
  const stats = await chain.run(calibrate, { model: source, tokens }, watched);
  const ordered = await chain.run(reorder, { model: source, stats }, order.with);
  const cached = await chain.run(calibrate_kv, { model: ordered, stats }, kv4.with);
  const model = await chain.run(quantize, { model: cached, tokens }, {
    ...w4a4kv4.with,
    weights: { ...w4a4kv4.with.weights, group: 128 },
    activations: { ...w4a4kv4.with.activations, group: 128 },
    windows,
    context,
  });
  for (const [name, { shape }] of oracle.tensors) {
    if (!name.startsWith("codes.")) continue;
    const got = await codesOf(model, `model.${name.slice("codes.".length)}`);
    const expected = await oracle.read(name);
    const equal = expected.filter((code, i) => code === got[i]).length / expected.length;
    assert.equal(expected.length, shape[0]! * shape[1]!);
    // What GPTQ rounds one way or the other moves all columns behind it, and two channels alike may change places.
    assert.ok(equal > 0.95, `${equal} of the codes of ${name} are those of the oracle`);
  }
  const test = await ids("test");
  const [plain, quantized] = await Promise.all(
    ["plain", "quantized"].map((name) => oracle.read(name)),
  );
  closePerplexity(await meanOf(source, { test, context }), mean(plain!), 1e-3);
  closePerplexity(await meanOf(ordered, { test, context }), mean(plain!), 1e-3);
  closePerplexity(await meanOf(model, { test, context }), mean(quantized!), 5e-3);
  assert.ok(mean(quantized!) < mean(plain!) - 5e-3, "the test could not tell");
});
