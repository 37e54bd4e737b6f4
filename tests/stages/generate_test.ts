import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { describePath } from "../../stages/describe/describe.ts";
import { factsOf } from "../../stages/facts.ts";
import { generate } from "../../stages/generate.ts";
import { Model } from "../../stages/models/model.ts";
import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";
import { openTokenizer } from "../../stages/models/tokenizer.ts";
import { quantize } from "../../stages/quantize.ts";
import { logitsOf } from "../support/forward_pass.ts";
import { StageChain } from "../support/stage_chain.ts";

const PROMPT = "Once there was a brave girl named";

Deno.test("generate writes the likeliest token each time, as the forward pass has it", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.embedded();
  using checkpoint = await openCheckpoint(model.path);
  const tokenizer = openTokenizer(checkpoint.tokenizer!);
  const ids = [...tokenizer.encode(PROMPT, { special: true })];
  const begun = ids.length;
  {
    using opened = await Model.open(model.path, device, { weightBytes: Infinity });
    for (let token = 0; token < 6; token++) {
      const logits = await logitsOf(device, opened, ids);
      const last = logits.subarray(logits.length - opened.config.vocabulary);
      ids.push(last.indexOf(last.reduce((most, one) => Math.max(most, one), -Infinity)));
    }
  }
  const report = await chain.run(generate, { models: [model] }, { prompts: [PROMPT], tokens: 6 });
  const { continuations } = JSON.parse(await Deno.readTextFile(`${report.path}/report.json`));
  assert.deepEqual(continuations.texts, [
    { prompt: PROMPT, answers: [tokenizer.decode(ids.slice(begun))] },
  ]);
});

Deno.test("generate puts models side by side and says how far they agree", async () => {
  await using chain = await StageChain.open();
  const model = chain.embedded();
  const weights = { bits: 2, group: "row" };
  const coarse = await chain.run(quantize, { model }, { method: "rtn", weights });
  const report = await chain.run(generate, { models: [model, model, coarse] }, {
    title: "A tale",
    labels: ["whole", "again", "coarse"],
    prompts: [PROMPT, "They had a"],
    tokens: 8,
  });
  const { headline } = await describePath(report.path, { kind: "report" }) ?? {};
  assert.equal(headline?.title, "A tale");
  const { columns, rows } = headline!.table!;
  assert.deepEqual(columns.map(({ heading }) => heading), ["whole", "again", "coarse"]);
  assert.equal(rows.length, 4);
  assert.equal(rows[0]![0], rows[0]![1]);
  assert.notEqual(rows[0]![2], rows[0]![0]);
  assert.ok(rows[2]!.every((text) => text.startsWith("They had a")));
  assert.equal(rows[1]![0], "");
  assert.match(rows[1]![1]!, /^\(all \d+ words alike\)$/);
  assert.match(rows[1]![2]!, /^\(\d+ of \d+ words alike\)$/);
  const facts = await factsOf({ kind: "report", path: report.path });
  assert.deepEqual(facts, { layers: 0, kvLayers: 0, tasks: [] });
  const other = await chain.run(generate, { models: [coarse] }, { prompts: ["A"], tokens: 2 });
  const { continuations } = JSON.parse(await Deno.readTextFile(`${other.path}/report.json`));
  assert.equal(continuations.models[0].label, "W2A16KV16");
});

Deno.test("the forecast of generate is what its device held, and refuses the same", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.embedded();
  const facts = await factsOf(model) as Parameters<
    NonNullable<typeof generate.forecast>
  >[0]["models"][number];
  const params = generate.params.parse({ prompts: [PROMPT], tokens: 40 });
  const bounds = { memoryBytes: 2 ** 28, limits: device.limits };
  const forecast = await generate.forecast!({ models: [facts] }, params, bounds);
  const report = await chain.run(generate, { models: [model] }, params);
  assert.equal(forecast.deviceBytes, device.memory.peak);
  const bytes = [...Deno.readDirSync(report.path)]
    .reduce((sum, { name }) => sum + Deno.statSync(`${report.path}/${name}`).size, 0);
  assert.ok(forecast.diskBytes > bytes, `${forecast.diskBytes} of ${bytes}`);
  const long = { ...params, tokens: 1e6 };
  const message = /Cannot continue a prompt of \d+ tokens by 1000000: .*expected at most/;
  const forecastLong = async () => await generate.forecast!({ models: [facts] }, long, bounds);
  await assert.rejects(forecastLong, message);
  await chain.refuses(generate, { inputs: { models: [model] }, params: long, message });
});
