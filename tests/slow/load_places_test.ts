// Slow: an index of hundreds of thousands of files is written and looked at.
import { match, ok, strictEqual } from "node:assert/strict";
import process from "node:process";
import { load } from "../../stages/load.ts";
import { tokenize } from "../../stages/tokenize.ts";
import { makeSparse, openPlaces } from "../support/hostile_places.ts";
import { openProject } from "../support/toy/project.ts";

const CONFIG = JSON.stringify({
  architectures: ["LlamaForCausalLM"],
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  intermediate_size: 8,
  vocab_size: 8,
});
const BIG = 300_000;

/** What a plan says of loading a directory, and how long it takes. */
async function refusal(model: string): Promise<string> {
  await using project = await openProject({ load, tokenize });
  const before = process.cpuUsage();
  const [row] = await project.plan(
    `steps:\n  source: { stage: load, with: { model: ${JSON.stringify(model)} } }\n`,
  );
  const { user, system } = process.cpuUsage(before);
  // Of the processor, so that it matters little what else the machine does: five, where that is nothing.
  const seconds = (user + system) / 1e6;
  ok(seconds < 20, `it took ${seconds} s`);
  strictEqual(row?.state, "blocked");
  return row.reason;
}

Deno.test("weights of 1 TiB whose header is none are refused before they are read", async () => {
  await using places = await openPlaces();
  const { directory } = places;
  await Deno.writeTextFile(`${directory}/config.json`, CONFIG);
  const weights = `${directory}/model.safetensors`;
  await makeSparse(weights);
  match(
    await refusal(directory),
    /^Cannot read the header of ".*model\.safetensors": it is no JSON/,
  );
  // A header that is fine, but of other tensors than the config asks for.
  const header = JSON.stringify({
    a: { dtype: "U8", shape: [2 ** 40 - 88], data_offsets: [0, 2 ** 40 - 88] },
  }).padEnd(80);
  const head = new Uint8Array(88);
  new DataView(head.buffer).setBigUint64(0, 80n, true);
  head.set(new TextEncoder().encode(header), 8);
  await makeSparse(weights, head);
  match(await refusal(directory), /^Cannot /);
  const gguf = `${directory}/model.gguf`;
  await makeSparse(gguf, new TextEncoder().encode("GGUF"));
  match(await refusal(gguf), /^Cannot /);
});

Deno.test("an index of 300,000 files is refused by their number", async () => {
  await using places = await openPlaces();
  const { directory } = places;
  await Deno.writeTextFile(`${directory}/config.json`, CONFIG);
  const names = Array.from({ length: BIG }, (_, at) => [`t${at}`, `${at}.safetensors`]);
  await Deno.writeTextFile(
    `${directory}/model.safetensors.index.json`,
    JSON.stringify({ weight_map: Object.fromEntries(names) }),
  );
  match(await refusal(directory), /it names 300000 files, expected at most 1000$/);
});

for (const name of ["config.json", "model.safetensors", "tokenizer.json", "model.gguf"]) {
  Deno.test(`a checkpoint whose ${name} is a pipe or a device is refused`, async () => {
    await using places = await openPlaces();
    const { directory, pipe, device } = places;
    for (const target of [pipe, device]) {
      await Deno.writeTextFile(`${directory}/config.json`, CONFIG);
      await Deno.remove(`${directory}/${name}`).catch(() => {});
      await Deno.symlink(target, `${directory}/${name}`);
      const model = name === "model.gguf" ? `${directory}/${name}` : directory;
      match(await refusal(model), /^Cannot (read|open|take)/);
      await Deno.remove(`${directory}/${name}`);
    }
  });
}
