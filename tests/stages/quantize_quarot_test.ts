import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { calibrate, calibrate_kv, quantize, rotate } from "../../stages/mod.ts";
import { closePerplexity, codesOf, mean, meanOf, tokensOf } from "../support/fake_oracle.ts";
import { StageChain } from "../support/stage_chain.ts";

const ORACLE = fileURLToPath(new URL("../testdata/quarot.st", import.meta.url));
const RECIPE = new URL("../../configs/quarot.yaml", import.meta.url);
/** Steps of the recipe whose settings the oracle has too. */
const { w4a4, w4a4kv4 } = parse(await Deno.readTextFile(RECIPE)).steps;

Deno.test("QuaRot's recipe gives the codes and the scores of its definition in PyTorch", async () => {
  await using chain = await StageChain.open();
  using oracle = await openSafetensors(ORACLE);
  const ids = async (name: string) => Uint32Array.from(await oracle.read(name), Number);
  const [windows, context] = oracle.tensors.get("calibration")!.shape as [number, number];
  const tokens = await tokensOf(chain, await ids("calibration"));
  const rotated = await chain.run(rotate, { model: chain.embedded() }, {
    transforms: ["out_proj_online", "down_proj"],
  });
  const model = await chain.run(quantize, { model: rotated, tokens }, {
    ...w4a4.with,
    windows,
    context,
  });
  for (const [name, { shape }] of oracle.tensors) {
    if (!name.startsWith("codes.")) continue;
    const got = await codesOf(model, `model.${name.slice("codes.".length)}`);
    const expected = await oracle.read(name);
    const rows = shape[0]!;
    const equal = expected.filter((code, i) => code === got[i]).length / expected.length;
    assert.equal(expected.length, rows * shape[1]!);
    // What GPTQ rounds one way or the other moves all columns behind it.
    assert.ok(equal > 0.97, `${equal} of the codes of ${name} are those of the oracle`);
  }
  const stats = await chain.run(calibrate, { model: rotated, tokens }, {
    windows: 2,
    context,
    gram: false,
    rows: 0,
  });
  const whole = await chain.run(calibrate_kv, { model, stats }, w4a4kv4.with);
  const test = await ids("test");
  const [plain, quantized] = await Promise.all(
    ["plain", "quantized"].map((name) => oracle.read(name)),
  );
  const [before, after] = [
    await meanOf(chain.embedded(), { test, context }),
    await meanOf(whole, { test, context }),
  ];
  closePerplexity(before, mean(plain!), 1e-3);
  closePerplexity(after, mean(quantized!), 5e-3);
  assert.ok(mean(quantized!) < mean(plain!) - 5e-3, "the test could not tell");
});
