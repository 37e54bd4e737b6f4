import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { Command } from "commander";
import { addSchemaOptions, saidOf } from "../../../stages/commands/schema_options.ts";
import { serveOptions } from "../../../stages/serve/options.ts";
import { startServing } from "../../support/serving_process.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

const MANIFEST = `
steps:
  source: { stage: load, with: { model: ${EMBEDDED} } }
  told:
    stage: serve
    from: { model: source }
    with:
      names: [tale, story]
      context: 192
      sequences: 2
      temperature: 0
      max_tokens: 9
      stop: [" the"]
      prompts: [A]
      answer_tokens: 2
      timed: { prompt: 4, output: 2 }
`;

async function directoryWith(manifest: string): Promise<string> {
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/it.yaml`, manifest);
  return directory;
}

async function completion(url: string, more: object): Promise<string> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "Once there was", ...more }),
  });
  const { choices, error } = await response.json();
  assert.equal(response.status, 200, error?.message);
  return choices[0].text;
}

Deno.test("`serve` brings a deployment up as its step says, by manifest, key and run; options come first", async () => {
  const directory = await directoryWith(MANIFEST);
  try {
    const store = `${directory}/store`;
    let first = "";
    {
      await using served = await startServing([`${directory}/it.yaml`], { store });
      const { url } = served;
      const engine = served.lines.find(({ type }) => type === "engine")!;
      const sizes = engine.sizes as { readonly context: number; readonly step: unknown };
      assert.equal(sizes.context, 192);
      const { data } = await (await fetch(`${url}/v1/models`)).json();
      const ids = data.map(({ id }: { readonly id: string }) => id);
      assert.deepEqual([...new Set(ids)], ["tale", "story"]);
      assert.equal(data[0].max_model_len, 192);
      // At temperature 0 and with texts that end it, as the deployment says.
      first = await completion(url, { max_tokens: 60 });
      assert.equal(await completion(url, { max_tokens: 60 }), first);
      assert.ok(!first.includes(" the"), first);
    }
    const artifacts = await Array.fromAsync(Deno.readDir(`${store}/artifacts`));
    let key = "";
    for (const { name } of artifacts) {
      const record = JSON.parse(
        await Deno.readTextFile(`${store}/artifacts/${name}/artifact.json`),
      );
      if (record.kind === "deployment") key = name;
    }
    for (const word of [key.slice(0, 10), "last"]) {
      await using served = await startServing([word, "--context", "128"], { store });
      const { data: [model] } = await (await fetch(`${served.url}/v1/models`)).json();
      assert.deepEqual([model.id, model.max_model_len], ["tale", 128]);
      assert.equal(await completion(served.url, { max_tokens: 60 }), first);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("every option of the server is one of the command, with its words", () => {
  const command = new Command("serve");
  addSchemaOptions(command, serveOptions, { stop: { whole: true } });
  const flags = new Map(command.options.map((option) => [option.attributeName(), option]));
  for (const [name, { description }] of Object.entries(serveOptions.shape)) {
    assert.ok(flags.get(name)?.description.startsWith(description!), name);
  }
  command.parse(
    ["--step-tokens", "12", "--top-p=0.5", "--strict", "--stop", "a, b", "--stop", "c"],
    { from: "user" },
  );
  assert.deepEqual(saidOf(command.opts(), serveOptions), {
    stepTokens: 12,
    topP: 0.5,
    strict: true,
    stop: ["a, b", "c"],
  });
});

Deno.test("an option is made of any field: lists, numbers, names of its own", () => {
  const schema = z.strictObject({
    parts: z.array(z.int()).default([1]).describe("some numbers"),
    longName: z.string().optional().describe("a text (default: none)"),
  });
  const forms = { longName: { flag: "short" } };
  const command = new Command("it").exitOverride();
  addSchemaOptions(command, schema, forms);
  assert.match(command.helpInformation(), /--parts <list> +some numbers \(default: 1\)/);
  command.parse(["--parts", "1,2", "--parts", "3", "--short", "x"], { from: "user" });
  assert.deepEqual(saidOf(command.opts(), schema, forms), { parts: [1, 2, 3], longName: "x" });
  assert.throws(
    () => command.parse(["--parts", "1,"], { from: "user" }),
    /Cannot take "" as a number: expected one/,
  );
});
