import { strict as assert } from "node:assert";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { modelCommands } from "../../../stages/commands/mod.ts";
import { EMBEDDED } from "../../../stages/models/checkpoint_place.ts";
import * as stages from "../../../stages/mod.ts";
import { callProgram } from "../../support/cli_call.ts";
import { startHub } from "../../support/hub_stub.ts";

async function advise(...args: string[]) {
  return await callProgram(
    { stages, commands: modelCommands },
    "advise",
    ...args,
    "--device",
    "cpu",
  );
}

Deno.test("`advise` tells of every precision, at 80 columns", async () => {
  const few = ["--memory", "100MB", "--batch", "2", "--context", "128"];
  const { status, out, errors } = await advise("embedded", ...few);
  assert.equal(status, 0, errors);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
  await using device = await Cpu.open();
  assert.match(out, new RegExp(`^embedded: 2 x 128 tokens in 100 MB on ${device.name}$`, "m"));
  assert.match(out, /^ {2}fp16 +W16A16KV16 +7\.3 MB +2048 /m);
  assert.match(out, /^ {2}qoq +W4A8KV4 g128 +2\.7 MB +576 /m);
  assert.match(out, /^ {2}quarot +W4A4KV4 /m);
  assert.match(out, /^ {2}qoq +[\d.e+]+ +[\d.e+]+ +x 1\.245 +SmolLM2-135M-Instruct$/m);
  assert.match(out, /prompts of 96 tokens, answers of 32$/m);
});

Deno.test("`advise` asks the hub for a model's config alone, and gives a line a precision for machines", async () => {
  const config = await Deno.readTextFile(`${EMBEDDED}/config.json`);
  await using hub = await startHub({ "config.json": config, "model.safetensors": "not fetched" });
  const { status, out, errors } = await advise(
    "maker/model",
    ...["--json", "--memory", "60MB", "--context", "64", "--group", "64"],
  );
  assert.equal(status, 0, errors);
  const lines = out.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines.find(({ recipe }) => recipe === "qoq").scheme, "W4A8KV4 g64");
  assert.ok(lines.every(({ type, model }) => type === "advice" && model === "maker/model"));
  assert.deepEqual(hub.fetched(), ["config.json"]);
});

Deno.test("`advise` refuses what cannot be, before any work", async () => {
  const long = await advise("embedded", "--context", "4096");
  assert.equal(long.status, 1);
  assert.match(long.errors, /contexts of 4096 tokens: expected at most 2048, which the model/);
  const answer = await advise("embedded", "--context", "64", "--output", "64");
  assert.match(answer.errors, /answers of 64 tokens: expected fewer than the 64 of the context/);
  const batch = await advise("embedded", "--batch", "none");
  assert.equal(batch.status, 2);
  assert.match(batch.errors, /Cannot take "none": expected a whole number above 0/);
  const missing = await advise("./nothing");
  assert.equal(missing.status, 1);
  assert.match(missing.errors, /nothing/);
});
