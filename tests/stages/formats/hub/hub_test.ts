import assert from "node:assert/strict";
import { readSourceText } from "../../../../stages/data/text.ts";
import { textSources } from "../../../../stages/data/text_sources.ts";
import { openCheckpoint } from "../../../../stages/models/open_checkpoint.ts";
import { resolveChosen, resolveModel } from "../../../../stages/formats/hub/hub.ts";
import { cachedModels } from "../../../../stages/formats/hub/cached.ts";
import { impliedHubPlace, parseHubPlace } from "../../../../stages/formats/hub/place.ts";
import { COMMIT, sha256, startHub } from "../../../support/hub_stub.ts";
import { SafetensorsWriter } from "../../../../stages/formats/safetensors/writer.ts";

const PLACE = "hf:maker/model@v1";

Deno.test("`parseHubPlace()` takes names, revisions and files apart", () => {
  const model = { type: "model", name: "org/na.me-1" } as const;
  assert.equal(parseHubPlace("models/org"), undefined);
  assert.deepEqual(parseHubPlace("hf:org/na.me-1"), { ...model, revision: "main" });
  assert.deepEqual(parseHubPlace("hf:org/na.me-1@v1.0"), { ...model, revision: "v1.0" });
  assert.deepEqual(parseHubPlace("hf:org/na.me-1@refs/pr/2"), { ...model, revision: "refs/pr/2" });
  assert.deepEqual(parseHubPlace("hf:org/na.me-1@v1/q/a.gguf"), {
    ...model,
    revision: "v1",
    file: "q/a.gguf",
  });
  assert.deepEqual(parseHubPlace("hf:org/na.me-1/a.gguf"), {
    ...model,
    revision: "main",
    file: "a.gguf",
  });
  assert.deepEqual(parseHubPlace("hf:datasets/org/rows@main/raw/test.parquet"), {
    type: "dataset",
    name: "org/rows",
    revision: "main",
    file: "raw/test.parquet",
  });
  for (const place of ["hf:", "hf:org", "hf:org/model@", "hf:../model", "hf:org/m@v1/../x.gguf"]) {
    assert.throws(() => parseHubPlace(place), {
      name: "SyntaxError",
      message: `Cannot find "${place}" on the hub: expected hf:organization/name@revision, and ` +
        `/file after it where one file is meant`,
    });
  }
});

Deno.test("`resolveModel()` tells a gated model, a crowd and a hub out of order apart", async () => {
  await using hub = await startHub(await checkpointFiles());
  const refused = async (status: number, error: string, place = "hf:maker/model") => {
    hub.refusal = { status, error };
    return await resolveModel(place).then(() => "not refused", ({ message }: Error) => message);
  };
  const gated = "Access to model maker/model is restricted and you are not in the authorized list.";
  assert.equal(
    await refused(401, gated),
    `Cannot load "hf:maker/model": it is gated (status 401), expected access; accept its terms at ` +
      `${hub.url}/maker/model and set HF_TOKEN to a token of your account`,
  );
  assert.match(
    await refused(429, "too many"),
    /no more requests from here for now \(status 429\), .*; wait some minutes, or set HF_TOKEN/,
  );
  assert.match(
    await refused(503, "busy"),
    /the hub answers 503 to .*, expected 200; try again later$/,
  );
  assert.match(
    await refused(404, "Repository not found", "maker/model"),
    /nothing at .*\/maker\/model \(status 404\), and no path here is called so, expected a model/,
  );
  Deno.env.set("HF_TOKEN", "hf_mine");
  assert.match(
    await refused(403, gated),
    /it is gated and the account of HF_TOKEN may not read it \(status 403\), .*; ask for it at http/,
  );
  assert.match(await refused(429, "too many"), /; wait some minutes$/);
});

Deno.test("`org/name` is a model of the hub where no path is called so", async () => {
  await using hub = await startHub(await checkpointFiles());
  const path = await resolveModel("maker/model");
  assert.equal(path, `${hub.cache}/models--maker--model/snapshots/${COMMIT}`);
  assert.equal(await resolveModel("maker/model@v1"), path);
  const folder = await Deno.makeTempDir();
  const before = Deno.cwd();
  try {
    Deno.chdir(folder);
    await Deno.mkdir("maker/model", { recursive: true });
    assert.equal(await resolveModel("maker/model"), "maker/model");
    for (const place of ["./maker/other", "maker/other.gguf", "maker", "a/b/c", "/maker/other"]) {
      assert.equal(await impliedHubPlace(place), undefined, place);
    }
  } finally {
    Deno.chdir(before);
    await Deno.remove(folder, { recursive: true });
  }
  const { models } = await cachedModels();
  assert.deepEqual(models.map(({ name, partial }) => [name, partial]), [["maker/model", false]]);
  assert.ok(models[0]!.bytes > 0);
});

Deno.test("`resolveModel()` leaves paths alone", async () => {
  assert.equal(await resolveModel("./models/tiny"), "./models/tiny");
  assert.equal(await resolveModel("/a/b.gguf"), "/a/b.gguf");
});

Deno.test("`resolveModel()` fetches what a checkpoint needs, once, in Python's layout", async () => {
  await using hub = await startHub(await checkpointFiles());
  const heard: [number, number][] = [];
  const progress = (done: number, total: number) => heard.push([done, total]);
  const path = await resolveModel(PLACE, { progress });
  assert.equal(path, `${hub.cache}/models--maker--model/snapshots/${COMMIT}`);
  assert.deepEqual(hub.fetched(), [
    "config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "a.safetensors",
    "b.safetensors",
  ]);
  const [done, total] = heard.at(-1)!;
  assert.equal(done, total);
  {
    using checkpoint = await openCheckpoint(path);
    assert.deepEqual(await checkpoint.read("y"), new Float32Array([3, 4]));
  }
  assert.equal(await Deno.readTextFile(`${hub.cache}/models--maker--model/refs/v1`), COMMIT);
  const weights = await Deno.readLink(`${path}/a.safetensors`);
  assert.equal(weights, `../../blobs/${sha256(hub.files.get("a.safetensors")!)}`);
  assert.equal(await resolveModel(PLACE), path);
  assert.equal(hub.fetched().length, 5);
});

Deno.test("`resolveModel()` fetches what an artifact of ours and quantized checkpoints have beside", async () => {
  const beside = {
    "model.json": '{"history":[]}',
    "quantize_config.json": '{"bits":4}',
    "channels-0.safetensors": await safetensors("a", [1]),
  };
  await using hub = await startHub({ ...await checkpointFiles(), ...beside });
  await resolveModel(PLACE);
  for (const name of Object.keys(beside)) assert.ok(hub.fetched().includes(name), name);
});

Deno.test("`resolveModel()` goes on where an interrupted download stopped", async () => {
  await using hub = await startHub(await checkpointFiles());
  const stop = new AbortController();
  const file = hub.files.get("b.safetensors")!;
  hub.cutAfter("b.safetensors", 100, () => stop.abort(new Error("stopped")));
  await assert.rejects(resolveModel(PLACE, { signal: stop.signal }), { message: "stopped" });
  const partial = `${hub.cache}/models--maker--model/blobs/${sha256(file)}.incomplete`;
  assert.equal((await Deno.stat(partial)).size, 100);
  hub.requests.length = 0;
  const path = await resolveModel(PLACE);
  assert.deepEqual(hub.requests.filter(({ file }) => file), [
    { file: "b.safetensors", range: `bytes=100-${file.length - 1}` },
  ]);
  assert.deepEqual(await Deno.readFile(`${path}/b.safetensors`), file);
  await assert.rejects(Deno.stat(partial), Deno.errors.NotFound);
});

Deno.test("`resolveModel()` tries again by itself when a connection breaks", async () => {
  await using hub = await startHub(await checkpointFiles());
  hub.cutAfter("a.safetensors", 50);
  const path = await resolveModel(PLACE);
  assert.deepEqual(await Deno.readFile(`${path}/a.safetensors`), hub.files.get("a.safetensors"));
  const ranges = hub.requests.flatMap(({ file, range }) => file === "a.safetensors" ? [range] : []);
  assert.deepEqual(ranges, [null, `bytes=50-${hub.files.get("a.safetensors")!.length - 1}`]);
});

Deno.test("`resolveModel()` starts over when the rest of a file does not fit its digest", async () => {
  await using hub = await startHub(await checkpointFiles());
  const digest = sha256(hub.files.get("a.safetensors")!);
  const blobs = `${hub.cache}/models--maker--model/blobs`;
  await Deno.mkdir(blobs, { recursive: true });
  await Deno.writeFile(`${blobs}/${digest}.incomplete`, new Uint8Array(10).fill(1));
  await assert.rejects(resolveModel(PLACE), (error: Error) => {
    assert.ok(error.message.startsWith(`Cannot keep "a.safetensors" of maker/model: `));
    return error.message.endsWith(`expected ${digest}; fetch it again`);
  });
  const path = await resolveModel(PLACE);
  assert.deepEqual(await Deno.readFile(`${path}/a.safetensors`), hub.files.get("a.safetensors"));
});

Deno.test("`resolveModel()` uses the cache alone when offline or when the hub is away", async () => {
  await using hub = await startHub(await checkpointFiles());
  const folder = `${hub.cache}/models--maker--model`;
  Deno.env.set("HF_HUB_OFFLINE", "1");
  await assert.rejects(resolveModel(PLACE), {
    message: `Cannot load "${PLACE}": HF_HUB_OFFLINE is set and ${folder} does not have it, ` +
      `expected it there; on a machine that reaches the hub, hf download maker/model --revision v1 ` +
      `makes such a folder, which can be copied to ${folder}; or give the path of a local file`,
  });
  Deno.env.set("HF_HUB_OFFLINE", "0");
  const path = await resolveModel(PLACE);
  const asked = hub.requests.length;
  Deno.env.set("HF_HUB_OFFLINE", "1");
  assert.equal(await resolveModel(PLACE), path);
  assert.equal(await resolveModel(`hf:maker/model@${COMMIT}`), path);
  assert.equal(hub.requests.length, asked);
  Deno.env.delete("HF_HUB_OFFLINE");
  await hub.close();
  assert.equal(await resolveModel(PLACE), path);
  await assert.rejects(resolveModel("hf:maker/other"), (error: Error) => {
    assert.ok(
      error.message.startsWith(`Cannot load "hf:maker/other": ${hub.url} cannot be reached`),
    );
    return error.message.includes("models--maker--other does not have it");
  });
});

Deno.test("`resolveModel()` says what the hub refuses and what would help", async () => {
  await using hub = await startHub(await checkpointFiles());
  hub.token = "hf_secret";
  await assert.rejects(resolveModel(PLACE), {
    message: `Cannot load "${PLACE}": the hub shows nothing at ${hub.url}/maker/model with the ` +
      "revision v1 (status 401), expected a model; look for its name there, and set HF_TOKEN if it " +
      "is private",
  });
  Deno.env.set("HF_TOKEN", "secret");
  await assert.rejects(resolveModel(PLACE), {
    name: "TypeError",
    message: "Cannot use the token of HF_TOKEN: it does not begin with hf_, expected it to",
  });
  Deno.env.set("HF_TOKEN", "hf_other");
  await assert.rejects(
    resolveModel(PLACE),
    /look for its name there, the account of HF_TOKEN may not read it if it is private$/,
  );
  Deno.env.set("HF_TOKEN", "hf_secret");
  await resolveModel(PLACE);
  await assert.rejects(
    resolveModel("hf:maker/other@v1"),
    /the hub shows nothing at .*\/maker\/other with the revision v1 \(status 404\), expected a model/,
  );
});

Deno.test("`resolveModel()` names the GGUF files of a repository without a config.json", async () => {
  await using hub = await startHub({ "q4.gguf": "GGUF 4", "q8.gguf": "GGUF 8", "README.md": "" });
  await assert.rejects(resolveModel("hf:maker/model"), {
    name: "TypeError",
    message: `Cannot load "hf:maker/model": the repository has no config.json, expected one, or ` +
      `the name of a GGUF file after it: q4.gguf, q8.gguf`,
  });
  const path = await resolveModel("hf:maker/model@v1/q8.gguf");
  assert.equal(await Deno.readTextFile(path), "GGUF 8");
  assert.deepEqual(hub.fetched(), ["q8.gguf"]);
  await assert.rejects(resolveModel("hf:maker/model@v1/q5.gguf"), {
    name: "TypeError",
    message: `Cannot load "hf:maker/model@v1/q5.gguf": the repository has no file "q5.gguf", ` +
      `expected one of its files, such as q4.gguf, q8.gguf`,
  });
});

Deno.test("`resolveModel()` refuses repositories without safetensors, and data sets", async () => {
  await using _hub = await startHub({ "config.json": "{}", "pytorch_model.bin": "" });
  await assert.rejects(resolveModel(PLACE), {
    name: "TypeError",
    message: `Cannot load "${PLACE}": the repository has neither model.safetensors nor ` +
      `model.safetensors.index.json, expected one of them`,
  });
  await assert.rejects(resolveModel("hf:datasets/maker/rows"), {
    name: "TypeError",
    message: `Cannot load "hf:datasets/maker/rows": it is a data set, expected a model`,
  });
});

Deno.test("`resolveModel()` refuses an index that leads out of the repository", async () => {
  const out = "../../../../x.safetensors";
  await using hub = await startHub({
    "config.json": "{}",
    "model.safetensors.index.json": JSON.stringify({ weight_map: { x: out } }),
    [out]: "elsewhere",
  });
  await assert.rejects(resolveModel(PLACE), {
    name: "TypeError",
    message: `Cannot keep "${out}" of maker/model: expected a path inside the repository`,
  });
  assert.equal(hub.fetched().includes(out), false);
});

Deno.test("`resolveModel()` fetches all parts of a split GGUF file with the one that is named", async () => {
  const parts = ["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"];
  await using hub = await startHub({ [parts[0]!]: "GGUF 1", [parts[1]!]: "GGUF 2", "b.gguf": "" });
  const path = await resolveModel(`hf:maker/model@v1/${parts[0]}`);
  assert.equal(await Deno.readTextFile(path), "GGUF 1");
  assert.equal(await Deno.readTextFile(path.replace("00001-of", "00002-of")), "GGUF 2");
  assert.deepEqual(hub.fetched().sort(), parts);
});

Deno.test("`readSourceText()` reads a file of a data set of the hub", async () => {
  await using hub = await startHub({
    "raw/test.jsonl": `{"text":"one"}\n{"text":"two"}\n`,
    "raw/train.jsonl": "",
  });
  const place = "hf:datasets/maker/rows@v1/raw/test.jsonl";
  assert.equal((await readSourceText(place)).text, "one\n\ntwo");
  const path = `${hub.cache}/datasets--maker--rows/snapshots/${COMMIT}/raw/test.jsonl`;
  assert.deepEqual(await textSources(place), [path]);
  assert.deepEqual(hub.fetched(), ["raw/test.jsonl"]);
});

Deno.test("`resolveChosen()` fetches the files that are chosen from a data set's names, once", async () => {
  await using hub = await startHub({
    "data/test-00000-of-00001.jsonl": `{"a":1}\n`,
    "data/train-00000-of-00001.jsonl": "",
    "README.md": "# rows",
  });
  const place = "hf:datasets/maker/rows@v1";
  const seen: (readonly string[])[] = [];
  const choose = (paths: readonly string[]) => {
    seen.push(paths.toSorted());
    return paths.filter((path) => path.startsWith("data/test"));
  };
  const [path] = await resolveChosen(place, choose);
  assert.equal(
    path,
    `${hub.cache}/datasets--maker--rows/snapshots/${COMMIT}/data/test-00000-of-00001.jsonl`,
  );
  assert.deepEqual(hub.fetched(), ["data/test-00000-of-00001.jsonl"]);
  assert.deepEqual(seen, [[
    "README.md",
    "data/test-00000-of-00001.jsonl",
    "data/train-00000-of-00001.jsonl",
  ]]);
  // Without the hub, those that the cache has can be chosen.
  Deno.env.set("HF_HUB_OFFLINE", "1");
  try {
    assert.deepEqual(await resolveChosen(place, choose), [path]);
  } finally {
    Deno.env.delete("HF_HUB_OFFLINE");
  }
  assert.deepEqual(seen[1], ["data/test-00000-of-00001.jsonl"]);
  assert.deepEqual(
    parseHubPlace("hf:datasets/org/rows@refs/convert/parquet/main/test/0000.parquet"),
    {
      type: "dataset",
      name: "org/rows",
      revision: "refs/convert/parquet",
      file: "main/test/0000.parquet",
    },
  );
});

/** A checkpoint of two shards beside files that a checkpoint does not need. */
async function checkpointFiles(): Promise<Record<string, string | Uint8Array>> {
  return {
    "config.json": `{"architectures":["LlamaForCausalLM"]}`,
    "tokenizer.json": "{}",
    "README.md": "# model",
    "pytorch_model.bin": "pickled",
    "onnx/model.json": "{}",
    "consolidated.safetensors": "the same weights again",
    "model.safetensors.index.json": JSON.stringify({
      weight_map: { x: "a.safetensors", y: "b.safetensors" },
    }),
    "a.safetensors": await safetensors("x", [1, 2]),
    "b.safetensors": await safetensors("y", [3, 4]),
  };
}

async function safetensors(name: string, values: readonly number[]): Promise<Uint8Array> {
  const path = await Deno.makeTempFile();
  using writer = await SafetensorsWriter.create(path, [
    { name, dtype: "F32", shape: [values.length] },
  ]);
  await writer.write(name, new Uint8Array(new Float32Array(values).buffer));
  await writer.close();
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
}
