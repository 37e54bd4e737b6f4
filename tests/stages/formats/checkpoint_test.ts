import assert from "node:assert/strict";
import { checkpointSources } from "../../../stages/models/checkpoint_place.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { writeCheckpointTexts } from "../../../stages/formats/checkpoint.ts";
import { assertFinite } from "../../../stages/formats/rows.ts";
import { createCheckpointWriter } from "../../../stages/formats/checkpoint_writer.ts";
import {
  readHeader,
  type TensorSpecification,
} from "../../../stages/formats/safetensors/header.ts";
import { SafetensorsWriter } from "../../../stages/formats/safetensors/writer.ts";
import { temporary } from "../../support/directory.ts";

const VALUES = [
  0,
  -0,
  1,
  -1.5,
  0.333251953125,
  65504,
  2 ** -14,
  -(2 ** -24),
  3.140625,
  -1024,
  7,
  9,
];

Deno.test("`openCheckpoint()` reads back what the writer wrote, in every dtype and by rows", async () => {
  await using dir = await temporaryCheckpoint();
  await writeWeights(dir.path, [
    { name: "single", dtype: "F32", bytes: bytesOf(new Float32Array(VALUES)) },
    { name: "half", dtype: "F16", bytes: bytesOf(new Float16Array(VALUES)) },
    { name: "brain", dtype: "BF16", bytes: brainBytes(VALUES.map(truncated)) },
  ]);
  using checkpoint = await openCheckpoint(dir.path);
  assert.deepEqual([...checkpoint.tensors.keys()], ["single", "half", "brain"]);
  assert.deepEqual(checkpoint.tensors.get("brain"), {
    name: "brain",
    dtype: "BF16",
    shape: [4, 3],
    file: `${dir.path}/model.safetensors`,
  });
  assert.deepEqual(await checkpoint.read("single"), new Float32Array(VALUES));
  assert.deepEqual(await checkpoint.read("half"), new Float32Array(new Float16Array(VALUES)));
  assert.deepEqual(await checkpoint.read("brain"), new Float32Array(VALUES.map(truncated)));
  for (const name of checkpoint.tensors.keys()) {
    const all = await checkpoint.read(name);
    assert.deepEqual(await checkpoint.read(name, { start: 1, end: 3 }), all.slice(3, 9));
    assert.equal((await checkpoint.read(name, { start: 2, end: 2 })).length, 0);
  }
  const raw = await checkpoint.readRaw("half", { start: 3, end: 4 });
  assert.deepEqual(raw, bytesOf(new Float16Array(VALUES.slice(9))));
});

Deno.test("`openCheckpoint()` reads shards as `createCheckpointWriter()` splits them", async () => {
  await using dir = await temporaryCheckpoint();
  const tensors = ["a", "b", "c", "d", "e"].map((name, i) => ({
    name,
    dtype: i % 2 ? "F16" as const : "F32" as const,
    bytes: i % 2
      ? bytesOf(new Float16Array(VALUES.map((value) => value / (i + 1))))
      : bytesOf(new Float32Array(VALUES.map((value) => value / (i + 1)))),
  }));
  await writeWeights(dir.path, tensors, { shardBytes: 80, pieces: 3 });
  const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  assert.deepEqual(names, [
    "config.json",
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "model-00003-of-00003.safetensors",
    "model.safetensors.index.json",
  ]);
  const index = JSON.parse(await Deno.readTextFile(`${dir.path}/model.safetensors.index.json`));
  assert.deepEqual(index.metadata, { total_parameters: 60, total_size: 3 * 48 + 2 * 24 });
  assert.equal(index.weight_map.c, "model-00002-of-00003.safetensors");
  using checkpoint = await openCheckpoint(dir.path);
  for (const { name, bytes } of tensors) assert.deepEqual(await checkpoint.readRaw(name), bytes);
  assert.deepEqual(checkpoint.sources, names.map((name) => `${dir.path}/${name}`));
  assert.deepEqual(await checkpointSources(dir.path), checkpoint.sources);
});

Deno.test("`Checkpoint.read()` answers many calls at once", async () => {
  await using dir = await temporaryCheckpoint();
  const values = Float32Array.from({ length: 3000 }, (_, i) => i);
  await writeWeights(dir.path, [{
    name: "x",
    dtype: "F32",
    shape: [1000, 3],
    bytes: bytesOf(values),
  }]);
  using checkpoint = await openCheckpoint(dir.path);
  const rows = Array.from({ length: 100 }, (_, i) => (i * 37) % 1000);
  const read = await Promise.all(
    rows.map((start) => checkpoint.read("x", { start, end: start + 1 })),
  );
  assert.deepEqual(read.map((row) => row[0]), rows.map((row) => row * 3));
});

Deno.test("`openCheckpoint()` gives configuration, tokenizer and small files", async () => {
  await using dir = await temporaryCheckpoint();
  await writeWeights(dir.path, [{ name: "x", dtype: "F32", bytes: bytesOf(new Float32Array(12)) }]);
  await Deno.writeTextFile(`${dir.path}/tokenizer.json`, `{"model":{}}`);
  await Deno.writeTextFile(`${dir.path}/chat_template.jinja`, "{{ messages }}");
  using checkpoint = await openCheckpoint(dir.path);
  assert.deepEqual(checkpoint.config, { architectures: ["LlamaForCausalLM"] });
  assert.deepEqual(checkpoint.tokenizer, { tokenizer: { model: {} }, config: {} });
  assert.deepEqual([...checkpoint.files], [["chat_template.jinja", "{{ messages }}"]]);
});

Deno.test("numbers that transformers takes as reals alone are written as reals", async () => {
  await using dir = await temporaryCheckpoint();
  const config = {
    final_logit_softcapping: 30,
    hidden_size: 64,
    text_config: { router_jitter_noise: 0, rms_norm_eps: 1e-6, logit_scale: -1 },
    _name: '"logit_scale": 3',
    attn_logit_softcapping: null,
  };
  await writeCheckpointTexts({ config, tokenizer: undefined, files: new Map() }, dir.path);
  const text = await Deno.readTextFile(`${dir.path}/config.json`);
  assert.deepEqual(JSON.parse(text), config);
  assert.deepEqual(text.split("\n").map((line) => line.trim()), [
    "{",
    '"final_logit_softcapping": 30.0,',
    '"hidden_size": 64,',
    '"text_config": {',
    '"router_jitter_noise": 0.0,',
    '"rms_norm_eps": 0.000001,',
    '"logit_scale": -1.0',
    "},",
    '"_name": "\\"logit_scale\\": 3",',
    '"attn_logit_softcapping": null',
    "}",
  ]);
});

Deno.test("`readHeader()` takes tensors in any order and skips `__metadata__`", async () => {
  await using dir = await temporaryCheckpoint();
  const path = await writeSafetensors(dir.path, {
    header: {
      __metadata__: { format: "pt" },
      late: { dtype: "F32", shape: [2], data_offsets: [1, 9] },
      early: { dtype: "U8", shape: [], data_offsets: [0, 1] },
    },
    bytes: 9,
  });
  const { tensors } = await readHeader(path);
  assert.deepEqual([...tensors.keys()], ["late", "early"]);
  assert.equal(tensors.get("late")!.start - tensors.get("early")!.start, 1);
  const scalar = tensors.get("early")!;
  assert.equal(scalar.end - scalar.start, 1);
});

Deno.test("`SafetensorsWriter` aligns every tensor to its element", async () => {
  await using dir = await temporaryCheckpoint();
  const specifications: TensorSpecification[] = [
    { name: "codes", dtype: "I8", shape: [3] },
    { name: "scales", dtype: "F16", shape: [5] },
    { name: "zeros", dtype: "U32", shape: [2] },
  ];
  const path = `${dir.path}/x.safetensors`;
  using writer = await SafetensorsWriter.create(path, specifications);
  await writer.write("codes", new Uint8Array([1, 2, 3]));
  await writer.write("scales", bytesOf(new Float16Array([1, 2, 3, 4, 5])));
  await writer.write("zeros", bytesOf(new Uint32Array([6, 7])));
  await writer.close();
  const { tensors } = await readHeader(path);
  assert.deepEqual([...tensors].map(([name]) => name), ["zeros", "scales", "codes"]);
  assert.equal(tensors.get("zeros")!.start % 4, 0);
  assert.equal(tensors.get("scales")!.start % 2, 0);
  assert.equal((await Deno.stat(path)).size, tensors.get("codes")!.end);
});

Deno.test("the checkpoint writer refuses tensors out of order, unknown, too long or incomplete", async () => {
  await using dir = await temporaryCheckpoint();
  const specifications: TensorSpecification[] = [
    { name: "a", dtype: "U8", shape: [4] },
    { name: "b", dtype: "U8", shape: [4] },
  ];
  using writer = await createCheckpointWriter(dir.path, specifications, { shardBytes: 4 });
  await writer.write("a", new Uint8Array(3));
  await rejects(
    writer.write("b", new Uint8Array(4)),
    TypeError,
    `Cannot write tensor "b" to "${dir.path}": it is not its turn, expected "a"`,
  );
  await rejects(
    writer.write("a", new Uint8Array(2)),
    RangeError,
    `Cannot write tensor "a" to "${dir.path}/model-00001-of-00002.safetensors": 5 bytes, expected 4`,
  );
  await rejects(
    writer.write("c", new Uint8Array(4)),
    TypeError,
    `Cannot write tensor "c" to "${dir.path}/model-00001-of-00002.safetensors": it was not ` +
      `announced, expected one of the 1 tensors the file was created for`,
  );
  await rejects(
    writer.close(),
    RangeError,
    `Cannot close "${dir.path}/model-00001-of-00002.safetensors": tensor "a" has 3 bytes, expected 4`,
  );
  using second = await createCheckpointWriter(dir.path, specifications, { shardBytes: 4 });
  await second.write("a", new Uint8Array(4));
  await rejects(
    second.close(),
    RangeError,
    `Cannot close "${dir.path}": tensor "b" has 0 bytes, expected all of it`,
  );
  await rejects(
    createCheckpointWriter(dir.path, [specifications[0]!, specifications[0]!]),
    TypeError,
    `Cannot write "${dir.path}": a tensor name comes twice, expected each once`,
  );
});

Deno.test("`openCheckpoint()` says what is missing from a directory", async () => {
  await using dir = await temporary();
  const { path } = dir;
  await rejects(
    openCheckpoint(`${path}/none`),
    TypeError,
    `Cannot open checkpoint "${path}/none": there is no such file, expected a Hugging Face ` +
      `directory or a .gguf file`,
  );
  await rejects(
    openCheckpoint(path),
    TypeError,
    `Cannot open checkpoint "${path}": no config.json, expected one`,
  );
  await Deno.writeTextFile(`${path}/config.json`, "{}");
  const lacking = `Cannot open checkpoint "${path}": neither model.safetensors nor ` +
    `model.safetensors.index.json, expected one of them`;
  await rejects(openCheckpoint(path), TypeError, lacking);
  await Deno.writeTextFile(`${path}/pytorch_model.bin`, "");
  await rejects(
    openCheckpoint(path),
    TypeError,
    `${lacking} (convert "pytorch_model.bin" to safetensors first)`,
  );
  await rejects(
    openCheckpoint(`${path}/pytorch_model.bin`),
    TypeError,
    `Cannot open checkpoint "${path}/pytorch_model.bin": it is a file of another kind, expected a ` +
      `Hugging Face directory or a .gguf file`,
  );
  await Deno.writeTextFile(`${path}/config.json`, "{,}");
  await assert.rejects(openCheckpoint(path), (error: Error) => {
    assert(error instanceof SyntaxError);
    assert(error.message.startsWith(`Cannot read "${path}/config.json": `), error.message);
    return error.message.endsWith(", expected JSON");
  });
});

Deno.test("`openCheckpoint()` names shard and tensor where an index is wrong", async () => {
  await using dir = await temporaryCheckpoint();
  const { path } = dir;
  const index = `${path}/model.safetensors.index.json`;
  await Deno.writeTextFile(index, "{}");
  await rejects(
    openCheckpoint(path),
    TypeError,
    `Cannot read "${index}": no weight_map, expected one of tensor to file`,
  );
  await Deno.writeTextFile(index, JSON.stringify({ weight_map: { x: "../a.safetensors" } }));
  await rejects(
    openCheckpoint(path),
    TypeError,
    `Cannot read "${index}": tensor "x" lies in "../a.safetensors", expected the name of a file ` +
      `beside the index`,
  );
  await Deno.writeTextFile(index, JSON.stringify({ weight_map: { x: "a.safetensors" } }));
  await rejects(
    openCheckpoint(path),
    TypeError,
    `Cannot open "${path}/a.safetensors": there is no such file, expected it to hold tensor "x" as ` +
      `model.safetensors.index.json says`,
  );
  const entry = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
  await writeSafetensors(path, { header: { y: entry }, bytes: 4, name: "a.safetensors" });
  await rejects(
    openCheckpoint(path),
    TypeError,
    `Cannot read tensor "x" of "${path}/a.safetensors": there is none, expected it among its 1 tensors`,
  );
});

Deno.test("`readHeader()` refuses headers that contradict themselves, naming file and tensor", async () => {
  await using dir = await temporary();
  const refuse = async (entry: unknown, kind: ErrorKind, message: string) => {
    const path = await writeSafetensors(dir.path, { header: { w: entry }, bytes: 16 });
    await rejects(readHeader(path), kind, `Cannot read tensor "w" of "${path}": ${message}`);
  };
  await refuse(
    { dtype: "F31", shape: [4], data_offsets: [0, 16] },
    TypeError,
    `its dtype is "F31", expected one of F64, I64, U64, C64, F32, I32, U32, F16, BF16, I16, U16, I8, ` +
      `U8, BOOL, F8_E4M3, F8_E5M2, F8_E8M0, F6_E2M3, F6_E3M2, F4`,
  );
  await refuse(
    { dtype: "F32", shape: [-4], data_offsets: [0, 16] },
    TypeError,
    `its shape is [-4], expected a list of counts`,
  );
  await refuse(
    { dtype: "F32", shape: [4], data_offsets: [0] },
    TypeError,
    `its data_offsets are [0], expected two counts`,
  );
  await refuse(
    { dtype: "F32", shape: [2, 3], data_offsets: [0, 16] },
    RangeError,
    `its bytes 0 to 16 are 16, expected 24 for F32 [2, 3]`,
  );
});

Deno.test("`readHeader()` says of a truncated file how long it is and should be", async () => {
  await using dir = await temporary();
  const header = { w: { dtype: "F32", shape: [4], data_offsets: [0, 16] } };
  const path = await writeSafetensors(dir.path, { header, bytes: 16 });
  const { size } = await Deno.stat(path);
  const hint = "(it is truncated, fetch it again)";
  await Deno.truncate(path, size - 1);
  await rejects(
    readHeader(path),
    RangeError,
    `Cannot read tensor "w" of "${path}": the file has ${
      size - 1
    } bytes, expected at least ${size} ${hint}`,
  );
  await Deno.truncate(path, size - 20);
  await rejects(
    readHeader(path),
    RangeError,
    `Cannot read the header of "${path}": the file has ${size - 20} bytes, expected at least ${
      size - 16
    } ${hint}`,
  );
  await Deno.truncate(path, 5);
  await rejects(
    readHeader(path),
    RangeError,
    `Cannot read "${path}": it has 5 bytes, expected a safetensors file`,
  );
  await Deno.writeTextFile(path, "version https://git-lfs.github.com/spec/v1\n");
  await assert.rejects(readHeader(path), { name: "SyntaxError" });
});

Deno.test("`Checkpoint.read()` refuses unknown tensors, rows outside and other dtypes", async () => {
  await using dir = await temporaryCheckpoint();
  const { path } = dir;
  await writeWeights(path, [
    { name: "x", dtype: "F32", bytes: bytesOf(new Float32Array(12)) },
    { name: "codes", dtype: "I8", bytes: new Uint8Array(12) },
  ]);
  using checkpoint = await openCheckpoint(path);
  await rejects(
    checkpoint.read("model.norm.weight"),
    TypeError,
    `Cannot read tensor "model.norm.weight" of "${path}": there is none, expected it among its 2 tensors`,
  );
  await rejects(
    checkpoint.read("x", { start: 2, end: 5 }),
    RangeError,
    `Cannot read rows 2 to 5 of tensor "x" of "${path}/model.safetensors": it has 4, expected no more`,
  );
  await rejects(
    checkpoint.read("codes"),
    TypeError,
    `Cannot read tensor "codes" of "${path}/model.safetensors": its dtype is I8, expected one of ` +
      `F32, F16, BF16`,
  );
});

Deno.test("`assertFinite()` names file, tensor and place of the first NaN or infinity", () => {
  assertFinite(new Float32Array(VALUES), "w", "file");
  for (const bad of [NaN, Infinity, -Infinity]) {
    assert.throws(() => assertFinite(new Float32Array([1, 2, bad, NaN]), "w", "a.safetensors"), {
      name: "RangeError",
      message:
        `Cannot use tensor "w" of "a.safetensors": its value 2 is ${bad}, expected finite weights`,
    });
  }
});

type ErrorKind = typeof TypeError | typeof RangeError | typeof SyntaxError;

async function rejects(promise: Promise<unknown>, kind: ErrorKind, message: string): Promise<void> {
  await assert.rejects(promise, { name: kind.name, message });
}

function bytesOf(values: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The value without the lower half of its single-precision bits, which bfloat16 does not have. */
function truncated(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer);
  return new Float32Array(new Uint32Array([bits[0]! >>> 16 << 16]).buffer)[0]!;
}

function brainBytes(values: readonly number[]): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(new Float32Array(values).buffer);
  return bytesOf(Uint16Array.from(words, (word) => word >>> 16));
}

interface Weights extends Omit<TensorSpecification, "shape"> {
  readonly shape?: readonly number[];
  readonly bytes: Uint8Array;
}

async function writeWeights(
  path: string,
  weights: readonly Weights[],
  { shardBytes = 5e9, pieces = 1 } = {},
): Promise<void> {
  const specifications = weights.map(({ name, dtype, shape = [4, 3] }) => ({ name, dtype, shape }));
  using writer = await createCheckpointWriter(path, specifications, { shardBytes });
  for (const { name, bytes } of weights) {
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      await writer.write(name, bytes.subarray(at, at + size));
    }
  }
  await writer.close();
}

async function writeSafetensors(
  directory: string,
  { header, bytes, name = "model.safetensors" }: {
    readonly header: unknown;
    readonly bytes: number;
    readonly name?: string;
  },
): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + bytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  await Deno.writeFile(`${directory}/${name}`, file);
  return `${directory}/${name}`;
}

async function temporaryCheckpoint(): Promise<AsyncDisposable & { readonly path: string }> {
  const directory = await temporary();
  const config = JSON.stringify({ architectures: ["LlamaForCausalLM"] });
  await Deno.writeTextFile(`${directory.path}/config.json`, config);
  return directory;
}
