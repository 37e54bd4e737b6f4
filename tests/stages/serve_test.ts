import { strict as assert } from "node:assert";
import { Cpu } from "../../kernels/device/cpu/cpu.ts";
import { parametersSchema } from "../../pipeline/manifest/schema.ts";
import { describePath } from "../../stages/describe/describe.ts";
import { copyPeftAdapter } from "../../stages/formats/peft.ts";
import { evaluate } from "../../stages/evaluate.ts";
import { factsOf, type ModelOutline } from "../../stages/facts.ts";
import { Model } from "../../stages/models/model.ts";
import { openModel } from "../../stages/models/architecture.ts";
import { quantize } from "../../stages/quantize.ts";
import { serve } from "../../stages/serve.ts";
import { chatText } from "../../stages/serve/chat_template.ts";
import { deploymentOptions } from "../../stages/serve/options.ts";
import { snakeName } from "../../stages/serve/snake_names.ts";
import { logitsOf } from "../support/forward_pass.ts";
import { embeddedTokenizer } from "../support/server_stub.ts";
import { StageChain } from "../support/stage_chain.ts";

const PROMPT = "Once there was a brave girl named";
const FEW = { context: 128, sequences: 2, timed: { prompt: 16, output: 4 } };

async function readJson(path: string) {
  return JSON.parse(await Deno.readTextFile(path));
}

Deno.test("a deployment keeps what the forward pass answers, and the model's files", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.embedded();
  const tokenizer = await embeddedTokenizer();
  const text = chatText(tokenizer, { messages: [{ role: "user", content: PROMPT }] });
  const ids = [...tokenizer.encode(text)];
  const begun = ids.length;
  {
    using opened = await Model.open(model.path, device, { weightBytes: Infinity });
    for (let token = 0; token < 6; token++) {
      const logits = await logitsOf(device, opened, ids);
      const last = logits.subarray(logits.length - opened.config.vocabulary);
      ids.push(last.indexOf(last.reduce((most, one) => Math.max(most, one), -Infinity)));
    }
  }
  const params = { ...FEW, prompts: [PROMPT], answer_tokens: 6 };
  const made = await chain.run(serve, { model, reports: [] }, params);
  const { answers, model: { digest }, ends } = await readJson(`${made.path}/deployment.json`);
  assert.deepEqual(answers.texts, [
    { prompt: PROMPT, answer: tokenizer.decode(ids.slice(begun)) },
  ]);
  assert.equal(digest, model.digest);
  assert.deepEqual(ends.map(({ id }: { readonly id: number }) => id), tokenizer.ends);
  for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
    assert.deepEqual(
      await Deno.readFile(`${made.path}/model/${name}`),
      await Deno.readFile(`${model.path}/${name}`),
    );
  }
});

Deno.test("what is timed changes no byte of a deployment, and comes as scores", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.embedded();
  const params = serve.params.parse({ ...FEW, prompts: ["A"], answer_tokens: 2 });
  const texts: string[] = [];
  for (let time = 0; time < 2; time++) {
    const { path } = await chain.run(serve, { model, reports: [] }, params);
    texts.push(await Deno.readTextFile(`${path}/deployment.json`));
  }
  assert.equal(texts[0], texts[1]);
  assert.ok(!/seconds|per_second/.test(texts[0]!), texts[0]);
  const out = await chain.directory();
  const { scores = {} } = await serve.run(
    {
      tools: { device: () => Promise.resolve(device), memoryBytes: 2 ** 28 },
      out,
      signal: new AbortController().signal,
      journal: { recall: (_: string, make: () => Promise<unknown>) => make() } as never,
      progress() {},
      note() {},
    },
    { model, baseline: undefined, reports: [] },
    params,
  ) ?? {};
  assert.ok(scores.prefill_tokens_per_second! > 0 && scores.decode_tokens_per_second! > 0);
});

Deno.test("a deployment has full precision's answers beside its own, and its quality", async () => {
  await using chain = await StageChain.open();
  const baseline = chain.embedded();
  const weights = { bits: 2, group: "row" };
  const model = await chain.run(quantize, { model: baseline }, { method: "rtn", weights });
  const tokens = await chain.tokens(64);
  const report = await chain.run(evaluate, { model, tokens }, { context: 32, windows: 2 });
  const params = { ...FEW, prompts: [PROMPT, "They had a"], answer_tokens: 8 };
  const made = await chain.run(serve, { model, baseline, reports: [report] }, params);
  const { answers, quality, model: told } = await readJson(`${made.path}/deployment.json`);
  const alone = await chain.run(serve, { model: baseline, reports: [] }, params);
  const full = await readJson(`${alone.path}/deployment.json`);
  for (const [at, { answer, baseline }] of answers.texts.entries()) {
    assert.equal(baseline, full.answers.texts[at].answer);
    assert.notEqual(answer, baseline);
  }
  assert.equal(told.scheme.split(" ")[0], "W2");
  const { scores } = await readJson(`${report.path}/report.json`);
  assert.equal(quality.perplexity, scores.perplexity);
  const described = await describePath(made.path, { kind: "deployment" });
  assert.equal(described?.headline?.table?.rows.length, 2);
  assert.match(described!.title, /^deployment of W2/);
  assert.equal((await describePath(made.path, {}))?.title, described!.title);
  assert.deepEqual(await factsOf(made), {});
  // Its record says what was done to the model, so that it runs from there.
  using served = await openModel(`${made.path}/model`);
  assert.equal(served.record.history.at(-1)?.stage, "quantize");
  await chain.refuses(serve, {
    inputs: { model: baseline, reports: [report] },
    params,
    message: /Cannot state scores of another model/,
  });
});

Deno.test("the forecast of serve is what its device held, and refuses the same", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const model = chain.embedded();
  const facts = await factsOf(model) as ModelOutline;
  const given = { ...FEW, prompts: [PROMPT, "A"], answer_tokens: 40 };
  const bounds = { memoryBytes: 2 ** 28, limits: device.limits };
  const inputs = { model: facts, baseline: facts, reports: [] };
  const forecast = await serve.forecast!(inputs, serve.params.parse(given), bounds);
  const made = await chain.run(serve, { model, baseline: model, reports: [] }, given);
  assert.equal(forecast.deviceBytes, device.memory.peak);
  let bytes = 0;
  for (const folder of [made.path, `${made.path}/model`]) {
    for (const { name, isFile } of Deno.readDirSync(folder)) {
      if (isFile) bytes += Deno.statSync(`${folder}/${name}`).size;
    }
  }
  assert.ok(forecast.diskBytes > bytes && forecast.diskBytes < 1.5 * bytes);
  for (
    const [more, message] of [
      [{ answer_tokens: 400 }, /Cannot answer a prompt of \d+ tokens with 400 more: the context/],
      [{ pages: 1 }, /Cannot serve the model from 1 pages .* 128 tokens take \d, .*--pages/],
      [{ pages: 1e6 }, /fit into 269 MB, expected a number between/],
      [{ chat_template: "{{ raise_exception(1) }}" }, /Cannot lay out conversations by /],
      [{ stop_token_ids: [1e6] }, /"stopTokenIds": 1000000 is no token of the model, expected ids/],
      [{ chat_template: "no/such/file" }, /Cannot read the chat template "no\/such\/file"/],
    ] as const
  ) {
    const params = serve.params.parse({ ...given, ...more });
    const refused = async () => await serve.forecast!(inputs, params, bounds);
    await assert.rejects(refused, message, JSON.stringify(more));
  }
});

Deno.test("a chat template is its text, wherever it stands", async () => {
  await using chain = await StageChain.open();
  const model = chain.embedded();
  const text = "{% for message in messages %}Say: {{ message.content }}{% endfor %}";
  const file = `${await chain.directory()}/template.jinja`;
  await Deno.writeTextFile(file, text);
  const params = { ...FEW, prompts: ["A"], answer_tokens: 4 };
  const records: { readonly record: string; readonly print: unknown }[] = [];
  for (const chat_template of [text, file]) {
    const given = { ...params, chat_template };
    const { path } = await chain.run(serve, { model, reports: [] }, given);
    const parsed = serve.params.parse(given);
    const print = await serve.fingerprint!(parsed, { digest: () => Promise.resolve("") });
    records.push({ record: await Deno.readTextFile(`${path}/deployment.json`), print });
  }
  assert.deepEqual(records[0], records[1]);
  assert.equal(JSON.parse(records[0]!.record).served.chat_template, text);
  const plain = await chain.run(serve, { model, reports: [] }, params);
  assert.notEqual(await Deno.readTextFile(`${plain.path}/deployment.json`), records[0]!.record);
});

Deno.test("adapters are their files, wherever they stand, and those that do not fit are refused before work", async () => {
  const device = await Cpu.open();
  await using chain = await StageChain.open(device);
  const lora = new URL("../testdata/lora/llama_all", import.meta.url).pathname;
  const moved = `${await chain.directory()}/moved`;
  await copyPeftAdapter(lora, moved);
  const print = async (adapters: object) =>
    await serve.fingerprint!(serve.params.parse({ adapters }), {
      digest: () => Promise.resolve(""),
    });
  assert.deepEqual(await print({ a: lora }), await print({ a: moved }));
  assert.notDeepEqual(await print({ a: lora }), await print({ b: lora }));
  const other = lora.replace("llama_all", "llama_attention");
  assert.notDeepEqual(await print({ a: lora }), await print({ a: other }));
  await assert.rejects(print({ a: `${lora}/nothing` }), /Cannot take the adapter ".*nothing": /);
  const facts = await factsOf(chain.embedded()) as ModelOutline;
  const params = serve.params.parse({ ...FEW, prompts: ["A"], adapters: { a: lora } });
  const bounds = { memoryBytes: 2 ** 28, limits: device.limits };
  const inputs = { model: facts, baseline: undefined, reports: [] };
  await assert.rejects(
    async () => await serve.forecast!(inputs, params, bounds),
    /Cannot put an adapter on "model\.layers\..*": it is of/,
  );
});

Deno.test("what decides serving is declared once: as parameters of the stage and options of the server", () => {
  const { properties } = parametersSchema(serve) as {
    readonly properties: Readonly<Record<string, { readonly description?: string }>>;
  };
  const names = Object.keys(deploymentOptions.shape) as (keyof typeof deploymentOptions.shape)[];
  assert.ok(names.length > 15);
  for (const name of names) {
    const { description } = deploymentOptions.shape[name];
    assert.ok(description, `${name} has no words`);
    assert.equal(properties[snakeName(name)]?.description, description);
  }
  // Secrets and sockets are no parameters: artifacts travel.
  for (const name of ["host", "port", "api_key", "hosts", "origins"]) {
    assert.ok(!(name in properties), name);
  }
});
