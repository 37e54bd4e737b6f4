import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Server } from "../../../stages/serve/server.ts";
import { startServer } from "../../../stages/serve/server.ts";
import { readServeOptions } from "../../../stages/serve/options.ts";
import type { ServedParts } from "../../../stages/serve/service.ts";
import { FakeEngine } from "../../support/engine_stub.ts";
import { CARD, embeddedTokenizer } from "../../support/server_stub.ts";
import { until } from "../../support/wait.ts";

/** A model that says its own name, whatever it is asked. */
async function talker(
  name: string,
  { delay = 0, template, options = {} }: {
    readonly delay?: number;
    readonly template?: string | null;
    readonly options?: object;
  } = {},
): Promise<ServedParts & { readonly engine: FakeEngine }> {
  const tokenizer = await embeddedTokenizer(template);
  const script = () => tokenizer.encode(` I am ${name}`);
  return {
    engine: new FakeEngine({ size: tokenizer.size, script, delay, context: 300 + name.length }),
    tokenizer,
    card: { ...CARD, name, digest: name.padEnd(64, "0") },
    options: readServeOptions({ port: 0, ...options }),
  };
}

async function serverOf(...models: readonly ServedParts[]): Promise<Server> {
  const [first, ...others] = models as [ServedParts, ...ServedParts[]];
  return await startServer({ ...first, others });
}

async function post(server: Server, path: string, body: object): Promise<Response> {
  return await fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
    body: JSON.stringify(body),
  });
}

Deno.test("a request is answered by the model that it names, on every route", async () => {
  const models = await Promise.all([
    talker("one"),
    talker("other", { options: { names: ["second"] }, template: null }),
    talker("third"),
  ]);
  await using server = await serverOf(...models);
  const text = async (name: string | undefined) => {
    const asked = { prompt: "Who?", max_tokens: 20, ...name && { model: name } };
    const { model, choices, system_fingerprint } = await (await post(
      server,
      "/v1/completions",
      asked,
    )).json();
    return [model, choices[0].text, system_fingerprint];
  };
  deepStrictEqual(await text(undefined), ["one", " I am one", "fp_one000000000"]);
  deepStrictEqual(await text("other"), ["other", " I am other", "fp_other0000000"]);
  deepStrictEqual((await text("second"))[0], "other");
  const messages = [{ role: "user", content: "Who?" }];
  const third = { model: "third", messages, max_tokens: 20 };
  const chat = await (await post(server, "/v1/chat/completions", third)).json();
  strictEqual(chat.choices[0].message.content.trim(), "I am third");
  const anthropic = await (await post(server, "/v1/messages", third)).json();
  deepStrictEqual([anthropic.model, anthropic.content[0].text.trim()], ["third", "I am third"]);
  const asked = { model: "third", input: "Who?" };
  const response = await (await post(server, "/v1/responses", asked)).json();
  strictEqual(response.model, "third");
  strictEqual(response.output[0].content[0].text.trim(), "I am third");
  const vectors = await (await post(server, "/v1/embeddings", asked)).json();
  strictEqual(vectors.model, "third");
  // The second has no template: it cannot chat, whatever the others can.
  const refused = await post(server, "/v1/chat/completions", { ...third, model: "second" });
  match((await refused.json()).error.message, /no chat template/);
  const unknown = await post(server, "/v1/completions", { prompt: "a", model: "fourth" });
  strictEqual(unknown.status, 404);
  match((await unknown.json()).error.message, /has "one", "other", "third"/);
  strictEqual(models[1].engine.asked.length, 2);
});

Deno.test("all models are listed and told of, and counted by their names", async () => {
  await using server = await serverOf(await talker("one"), await talker("two"));
  const { data } = await (await fetch(`${server.url}/v1/models`)).json();
  deepStrictEqual(
    data.map((each: Record<string, unknown>) => [each.id, each.max_model_len]),
    [["one", 303], ["two", 303]],
  );
  const told = await (await fetch(`${server.url}/v1/models/two`)).json();
  strictEqual(told.root, "two");
  strictEqual((await fetch(`${server.url}/v1/models/three`)).status, 404);
  const { model, models } = await (await fetch(`${server.url}/status`)).json();
  strictEqual(model.name, "one");
  deepStrictEqual(models.map((each: typeof model) => each.model.name), ["one", "two"]);
  for (const n of [1, 2, 3]) {
    await (await post(server, "/v1/completions", { model: "two", prompt: "a", n })).text();
  }
  const text = await (await fetch(`${server.url}/metrics`)).text();
  for (
    const line of [
      `vllm:request_success_total{model_name="two",engine="0",finished_reason="stop"} 6`,
      `vllm:request_params_n_bucket{le="2",model_name="two",engine="0"} 2`,
      `vllm:request_params_n_sum{model_name="two",engine="0"} 6`,
      `quattuor_requests_running{model_name="one",engine="0"} 0`,
      `quattuor_prompt_tokens_total{model_name="one",engine="0"} 0`,
    ]
  ) {
    ok(text.includes(`\n${line}\n`), line);
  }
  ok(!/request_success_total\{model_name="one"/.test(text), text);
});

Deno.test("a server that gets other models finishes on those of before, and goes on with the others", async () => {
  const before = await talker("before");
  const finish = before.engine.hold();
  await using server = await serverOf(before);
  const slow = post(server, "/v1/completions", { prompt: "a", max_tokens: 9, model: "before" });
  await until(() => before.engine.stats().running === 1);
  const replaced = server.replace([await talker("behind")]);
  const quick = await (await post(server, "/v1/completions", { prompt: "a" })).json();
  strictEqual(quick.choices[0].text, " I am behind");
  strictEqual(
    (await post(server, "/v1/completions", { prompt: "a", model: "before" })).status,
    404,
  );
  strictEqual(before.engine.stats().running, 1);
  finish();
  await replaced;
  strictEqual(before.engine.stats().running, 0);
  strictEqual((await (await slow).json()).choices[0].text, " I am before");
});

Deno.test("a server that pauses finishes what it has and refuses with 503 until it has models again", async () => {
  const first = await talker("first");
  const finish = first.engine.hold();
  await using server = await serverOf(first);
  const slow = post(server, "/v1/completions", { prompt: "a", max_tokens: 9 });
  await until(() => first.engine.stats().running === 1);
  const paused = server.pause();
  const refused = await post(server, "/v1/completions", { prompt: "a" });
  strictEqual(refused.status, 503);
  ok(refused.headers.has("retry-after"));
  await refused.body?.cancel();
  finish();
  await paused;
  strictEqual((await (await slow).json()).choices[0].text, " I am first");
  await server.replace([first]);
  strictEqual((await post(server, "/v1/completions", { prompt: "a" })).status, 200);
});

Deno.test("an adapter is a model of its own name on the engine of another", async () => {
  const base = await talker("base");
  const card = { ...base.card, name: "tuned", parent: "base" };
  await using server = await serverOf(base, { ...base, card, adapter: 1 });
  for (const [model, adapter] of [["base", undefined], ["tuned", 1], [undefined, undefined]]) {
    const asked = { prompt: "a", max_tokens: 9, ...model !== undefined && { model } };
    await (await post(server, "/v1/completions", asked)).text();
    strictEqual(base.engine.asked.at(-1)!.adapter, adapter);
  }
  const { data } = await (await fetch(`${server.url}/v1/models`)).json();
  deepStrictEqual(
    data.map((each: Record<string, unknown>) => [each.id, each.parent]),
    [["base", undefined], ["tuned", "base"]],
  );
  // Its requests are its own, the engine's figures are told once.
  const text = await (await fetch(`${server.url}/metrics`)).text();
  ok(text.includes('quattuor_request_prompt_tokens_count{model_name="tuned",engine="0"} 1'));
  ok(!/quattuor_requests_running\{model_name="tuned"/.test(text));
});

Deno.test("vLLM's metric of adapters names those that requests go through, where there are any", async () => {
  const info = async (server: Server) => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return /^vllm:lora_requests_info\{(.*)\} (\S+)$/m.exec(text)?.slice(1);
  };
  const base = await talker("base");
  {
    await using server = await serverOf(base);
    strictEqual(await info(server), undefined);
  }
  const adapter = (name: string, number: number) => ({
    ...base,
    card: { ...base.card, name, parent: "base" },
    adapter: number,
  });
  await using server = await serverOf(base, adapter("calm", 1), adapter("wild", 2));
  const finish = base.engine.hold();
  const slow = post(server, "/v1/completions", { prompt: "a", model: "wild", max_tokens: 9 });
  await until(() => base.engine.stats().running === 1);
  const [labels, value] = (await info(server))!;
  strictEqual(
    labels,
    'model_name="base",engine="0",max_lora="2",running_lora_adapters="wild",waiting_lora_adapters=""',
  );
  // The moment when it was so, in seconds.
  ok(Math.abs(Date.now() / 1000 - Number(value)) < 600, value);
  finish();
  await (await slow).text();
  ok((await info(server))![0]!.includes('running_lora_adapters="",'));
});
