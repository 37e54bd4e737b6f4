import { match, ok, strictEqual } from "node:assert/strict";
import { describePath } from "../../../stages/describe/describe.ts";
import { callProgram } from "../../support/cli_call.ts";
import { makeSparse, openPlaces } from "../../support/hostile_places.ts";

Deno.test("`inspect` ends at pipes, devices and files of 1 TiB, wherever they lie", async () => {
  await using places = await openPlaces();
  const { directory, pipe, device, sparse } = places;
  const inspect = async (path: string) => {
    const start = performance.now();
    const program = { stages: {}, describe: describePath };
    const called = await callProgram(program, "inspect", path, "--store", `${directory}/store`);
    ok(performance.now() - start < 10_000, `${path} took ${performance.now() - start} ms`);
    return called;
  };
  for (const path of [pipe, device, sparse]) {
    const { status, out } = await inspect(path);
    strictEqual(status, 0);
    match(out, /nothing this program knows/);
  }
  const model = `${directory}/model`;
  await Deno.mkdir(model);
  await makeSparse(`${model}/model.safetensors`);
  const beside = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "model.safetensors.index.json",
    "artifact.json",
    "provenance.json",
  ];
  for (const name of beside) {
    for (const target of [pipe, device]) {
      await Deno.symlink(target, `${model}/${name}`);
      await inspect(model);
      await Deno.remove(`${model}/${name}`);
    }
  }
  await makeSparse(`${model}/model.gguf`, new TextEncoder().encode("GGUF"));
  await inspect(`${model}/model.gguf`);
});
