import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "../../../stages/formats/safetensors/file.ts";
import { refusalOf, startServing } from "../../support/serving_process.ts";
import { until } from "../../support/wait.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

/** An adapter of a model of other sizes. */
const MISFIT = fileURLToPath(new URL("../../testdata/lora/llama_all", import.meta.url));

const manifest = (context: number, model = EMBEDDED) => `
steps:
  source: { stage: load, with: { model: ${model} } }
  told:
    stage: serve
    from: { model: source }
    with:
      context: ${context}
      sequences: 2
      temperature: 0
      prompts: [A]
      answer_tokens: 2
      timed: { prompt: 4, output: 2 }
`;

async function models(url: string): Promise<readonly (readonly [string, number])[]> {
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  return data.map((each: Record<string, unknown>) => [each.id, each.max_model_len]);
}

async function complete(url: string, more: object) {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once there was", temperature: 0, max_tokens: 12, ...more }),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}

Deno.test("SIGHUP serves what the manifest says now; what is under way is finished, what is wrong changes nothing", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/it.yaml`;
    await Deno.writeTextFile(file, manifest(192));
    await using served = await startServing([file], { store: `${directory}/store` });
    const { url, child, lines } = served;
    assert.deepEqual(await models(url), [["told", 192]]);
    const replaced = () => lines.filter(({ type }) => type === "replaced");
    await Deno.writeTextFile(file, manifest(128));
    const slow = complete(url, { max_tokens: 180, ignore_eos: true });
    child.kill("SIGHUP");
    await until(() => replaced().length === 1);
    assert.match(String(replaced()[0]!.text), /^Serving told from now on/);
    assert.equal((await slow).usage.completion_tokens, 180);
    assert.deepEqual(await models(url), [["told", 128]]);
    await Deno.writeTextFile(file, manifest(128, `${directory}/nothing`));
    child.kill("SIGHUP");
    await until(() => replaced().length === 2);
    assert.match(String(replaced()[1]!.text), /^Cannot serve anew, so that all stays as it was: /);
    assert.deepEqual(await models(url), [["told", 128]]);
    await complete(url, {});
    child.kill("SIGTERM");
    assert.equal((await served.ended).code, 0, served.errors());
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** An adapter of the embedded model's first linears, as PEFT writes it. */
async function writeAdapter(directory: string, more: object = {}): Promise<void> {
  await Deno.mkdir(directory);
  const config = { peft_type: "LORA", r: 8, lora_alpha: 64, bias: "none", ...more };
  await Deno.writeTextFile(`${directory}/adapter_config.json`, JSON.stringify(config));
  const { hidden_size: width } = JSON.parse(await Deno.readTextFile(`${EMBEDDED}/config.json`));
  const name = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  const values = (count: number) =>
    Float32Array.from({ length: count }, (_, at) => Math.sin(at * at));
  await writeSafetensors(
    `${directory}/adapter_model.safetensors`,
    new Map([
      [`${name}A.weight`, { shape: [8, width], values: values(8 * width) }],
      [`${name}B.weight`, { shape: [width, 8], values: values(8 * width) }],
    ]),
  );
}

Deno.test("`serve --adapter` answers from the model with an adapter, by its name", async () => {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store`;
  try {
    await writeAdapter(`${directory}/tale`);
    await writeAdapter(`${directory}/odd`, { use_dora: true });
    const few = ["--context", "256", "--sequences", "2", "--step-tokens", "32"];
    {
      const words = [EMBEDDED, "--adapter", `tale=${directory}/tale`, ...few];
      await using served = await startServing(words, { store });
      const { url } = served;
      assert.deepEqual(await models(url), [["embedded", 256], ["tale", 256]]);
      const [plain, tuned, again] = await Promise.all(
        ["embedded", "tale", "embedded"].map((model) => complete(url, { model })),
      );
      assert.equal(plain.choices[0].text, again.choices[0].text);
      assert.notEqual(plain.choices[0].text, tuned.choices[0].text);
      assert.equal(tuned.model, "tale");
      assert.notEqual(plain.system_fingerprint, tuned.system_fingerprint);
    }
    const errors = await refusalOf([EMBEDDED, "--adapter", `odd=${directory}/odd`], store);
    assert.match(errors, /Cannot take the adapter ".*odd": its use_dora is true/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what is wrong with adapters, a template or one of several models is said before any is made", async () => {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store`;
  const [odd, fine, misfit] = [`${directory}/odd`, `${directory}/fine`, MISFIT];
  try {
    await writeAdapter(odd, { use_dora: true });
    await writeAdapter(fine);
    await Deno.writeTextFile(`${directory}/bad.jinja`, "{{ messages[0].content | nothing }}");
    await Deno.writeTextFile(`${directory}/bad.yaml`, "steps: { a: { stage: nothing } }");
    await Deno.writeTextFile(`${directory}/it.yaml`, manifest(128));
    await Deno.writeTextFile(`${directory}/gone.yaml`, manifest(128, `${directory}/none`));
    const one = ["--model", `one=${EMBEDDED}`];
    for (
      const [words, expected] of [
        [["embedded", "--adapter", "a=/nope"], /Cannot take the adapter "\/nope": it has no/],
        [[EMBEDDED, "--adapter", `a=${odd}`], /Cannot take the adapter ".*odd": its use_dora/],
        [[EMBEDDED, "--adapter", `a=${misfit}`], /Cannot put an adapter on "model\.layers/],
        [[`${directory}/it.yaml`, "--adapter", `a=${misfit}`], /Cannot put an adapter on "model/],
        [
          [EMBEDDED, "--adapter", `a=${fine}`, "--adapter", `a=${fine}`],
          /Cannot serve two models under the name "a"/,
        ],
        [[...one, "--model", "b=/nope"], /Cannot serve "\/nope": there is no such file/],
        [[...one, "--model", `b=${directory}`], /Cannot open checkpoint .*: neither model/],
        [[...one, "--model", `b=${directory}/bad.yaml`], /bad\.yaml:1.*stage/],
        [[...one, "--model", `b=${directory}/gone.yaml`], /Cannot open checkpoint .*none/],
        [[...one, ...one], /Cannot serve two models under the name "one"/],
        [
          [...one, "--model", `b=${EMBEDDED}`, "--adapter", `a=${fine}`],
          /Cannot tell whose adapters they are: 2 models are served/,
        ],
        [[EMBEDDED, "--chat-template", `${directory}/none`], /Cannot read the chat template/],
        [
          [EMBEDDED, "--chat-template", `${directory}/bad.jinja`],
          /Cannot lay out conversations by ".*bad\.jinja": it says: .*nothing/,
        ],
        [
          [`${directory}/it.yaml`, "--stop-token-ids", "1000000"],
          /"stopTokenIds": 1000000 is no token of the model, expected ids below/,
        ],
        [[EMBEDDED, "--step", "told"], /Cannot serve step "told" of ".*": it is no manifest/],
        [[`${directory}/it.yaml`, "--step", "tolt"], /tolt.*told/],
        [[`${directory}/it.yaml`, "--sequences", "1", "--pages", "1"], /pages/],
      ] as const
    ) {
      const errors = await refusalOf(words, store);
      assert.match(errors, expected);
      const made = existsSync(`${store}/artifacts`)
        ? [...Deno.readDirSync(`${store}/artifacts`)]
        : [];
      assert.deepEqual(made, [], `${words.join(" ")}: ${errors}`);
      assert.doesNotMatch(errors, /All went well/);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a deployment has its adapters with it, also of a model that was rotated", async () => {
  const directory = await Deno.makeTempDir();
  const store = `${directory}/store`;
  try {
    await writeAdapter(`${directory}/tale`);
    const file = `${directory}/it.yaml`;
    const text = manifest(128).replace("from: { model: source }", "from: { model: turned }")
      .replace("  told:", "  turned: { stage: rotate, from: { model: source } }\n  told:");
    await Deno.writeTextFile(
      file,
      `${text}      names: [told]\n      adapters: { tale: ${directory}/tale }\n`,
    );
    const answers = async (words: readonly string[]) => {
      await using served = await startServing(words, { store });
      const { url } = served;
      const told = ["told", "tale"];
      assert.deepEqual(await models(url), told.map((name) => [name, 128]));
      const all = await Promise.all(told.map((model) => complete(url, { model })));
      const texts = all.map(({ choices: [{ text }] }) => text);
      assert.notEqual(texts[0], texts[1]);
      return texts;
    };
    const texts = await answers([file]);
    // What is served needs the adapter's files no more, only who makes it anew.
    const [record] = [...Deno.readDirSync(`${store}/artifacts`)]
      .filter(({ name }) => existsSync(`${store}/artifacts/${name}/deployment.json`));
    const path = `${store}/artifacts/${record!.name}`;
    const { adapters } = JSON.parse(await Deno.readTextFile(`${path}/deployment.json`));
    assert.equal(adapters[0].name, "tale");
    await Deno.remove(`${directory}/tale`, { recursive: true });
    assert.deepEqual(await answers([path]), texts);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("`serve --model` twice answers from both, in the memory of one command", async () => {
  const store = await Deno.makeTempDir();
  try {
    const both = ["--model", `plain=${EMBEDDED}`, "--model", `again=${EMBEDDED}`];
    const few = ["--context", "256", "--sequences", "2", "--step-tokens", "32"];
    {
      await using served = await startServing([...both, ...few], { store });
      const { url } = served;
      await until(() => served.lines.filter(({ type }) => type === "engine").length === 2);
      assert.deepEqual(await models(url), [["plain", 256], ["again", 256]]);
      const [one, other] = await Promise.all(
        ["plain", "again"].map((model) => complete(url, { model })),
      );
      assert.deepEqual([one.model, other.model], ["plain", "again"]);
      assert.equal(one.choices[0].text, other.choices[0].text);
    }
    for (
      const [words, expected] of [
        [[...both, ...few, "--memory", "20MB"], /Cannot serve 2 models in 20 MB: "plain" takes/],
        [[EMBEDDED, ...both], /Cannot serve ".*" beside --model/],
        [["--model", EMBEDDED], /Cannot serve "--model .*": expected name=artifact/],
        [
          ["--model", `a=${EMBEDDED}`, "--model", `a=${EMBEDDED}`],
          /Cannot serve two models under the name "a": a has it/,
        ],
      ] as const
    ) {
      assert.match(await refusalOf(words, store), expected);
    }
  } finally {
    await Deno.remove(store, { recursive: true });
  }
});
