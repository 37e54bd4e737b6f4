import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { ReferenceDevice } from "../../../kernels/device/reference.ts";
import { FORMATS } from "../../../stages/exchange/find_format.ts";
import { exportModel } from "../../../stages/export.ts";
import { openCheckpoint } from "../../../stages/models/open_checkpoint.ts";
import { type GgufEntry } from "../../../stages/formats/gguf/encoding.ts";
import { load } from "../../../stages/load.ts";
import { quantize } from "../../../stages/quantize.ts";
import { ggufBytes } from "../../support/gguf_file.ts";
import { writeShaped } from "../../support/packable_models.ts";
import { StageChain } from "../../support/stage_chain.ts";

const PROBE = fileURLToPath(new URL("../../support/memory_probe.ts", import.meta.url));
const CONFIG = { architectures: ["LlamaForCausalLM"] };
const MB = 2 ** 20;

/** What a weights file says of itself, as text or as an object, with what comes after it. */
interface Weights {
  readonly header: unknown;
  /** Stated length of the header; its own unless said. */
  readonly length?: bigint;
  readonly bytes?: number;
}

const entry = (start: number, end: number, shape: readonly number[] = [end - start]) => (
  { dtype: "U8", shape, data_offsets: [start, end] }
);

const HEADERS: readonly (readonly [what: string, weights: Weights, message: RegExp])[] = [
  ["longer than any", { header: {}, length: 2n ** 63n }, /a header of 9223372036854776000 bytes/],
  [
    "as long as the format allows",
    { header: {}, length: 99_999_999n },
    /expected at least 100000007/,
  ],
  ["of no length", { header: "", length: 0n }, /it is no JSON/],
  ["that is a list", { header: "[1]" }, /it is no object/],
  [
    "with bytes that two tensors claim",
    { header: { a: entry(0, 8), b: entry(4, 12) }, bytes: 12 },
    /tensor "b" .*begins at byte \d+, expected \d+, where "a" ends/,
  ],
  [
    "with one tensor inside another",
    { header: { a: entry(0, 12), b: entry(4, 8) }, bytes: 12 },
    /tensor "b" .*begins at byte \d+, expected \d+, where "a" ends/,
  ],
  [
    "with the same bytes under two names",
    { header: { a: entry(0, 8), b: entry(0, 8) }, bytes: 8 },
    /tensor "b" .*expected \d+, where "a" ends/,
  ],
  [
    "with a hole between tensors",
    { header: { a: entry(0, 4), b: entry(8, 12) }, bytes: 12 },
    /tensor "b" .*expected \d+, where "a" ends/,
  ],
  [
    "with a hole before the first tensor",
    { header: { a: entry(4, 8) }, bytes: 8 },
    /tensor "a" .*where the header ends/,
  ],
  [
    "with bytes behind the last tensor",
    { header: { a: entry(0, 4) }, bytes: 5 },
    /the file has \d+ bytes, expected \d+, where "a" ends/,
  ],
  [
    "that names a tensor twice",
    {
      header: `{"a":${JSON.stringify(entry(0, 4))},"a":${JSON.stringify(entry(0, 4))}}`,
      bytes: 4,
    },
    /a name comes twice/,
  ],
  [
    "that gives a shape twice",
    { header: `{"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}}`, bytes: 4 },
    /a name comes twice/,
  ],
  [
    "with a shape whose product no number holds",
    { header: { a: entry(0, 0, [2 ** 40, 2 ** 40]) } },
    /U8 \[\d+, \d+\] are \S+ bits, expected whole bytes/,
  ],
  [
    "with sizes beyond whole numbers",
    { header: { a: entry(0, 4, [1e300]) }, bytes: 4 },
    /its shape is \[1e\+300\], expected a list of counts/,
  ],
  [
    "with half a byte",
    { header: { a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, bytes: 2 },
    /F4 \[3\] are 12 bits, expected whole bytes/,
  ],
  [
    "with bytes from the end to the start",
    { header: { a: { dtype: "U8", shape: [4], data_offsets: [4, 0] } }, bytes: 4 },
    /its bytes 4 to 0 are -4, expected 4/,
  ],
  [
    "nested without end",
    { header: `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}` },
    /nested 100001 deep, expected 3/,
  ],
];

for (const [what, weights, message] of HEADERS) {
  Deno.test(`a safetensors header ${what} is refused`, async () => {
    await withCheckpoint({ weights }, (path) => refused(() => openCheckpoint(path), message));
  });
}

Deno.test("a tensor may be called as what every object has", async () => {
  // As text: a literal's `__proto__` would not be a member.
  const header = `{"__proto__":${JSON.stringify(entry(0, 4))},"constructor":${
    JSON.stringify(entry(4, 6))
  }}`;
  await withCheckpoint({ weights: { header, bytes: 6 } }, async (path) => {
    using checkpoint = await openCheckpoint(path);
    assert.deepEqual([...checkpoint.tensors.keys()], ["__proto__", "constructor"]);
    assert.equal((await checkpoint.readRaw("__proto__")).length, 4);
  });
});

const SHARDS: readonly (readonly [what: string, shard: unknown, message: RegExp])[] = [
  ["above the directory", "../a.safetensors", /expected the name of a file beside the index/],
  ["at an absolute path", "/etc/passwd", /expected the name of a file beside the index/],
  ["behind backslashes", "..\\a.safetensors", /expected the name of a file beside the index/],
  ["that is the directory itself", ".", /expected the name of a file beside the index/],
  ["that is no name", { a: 1 }, /lies in \{"a":1\}, expected the name of a file/],
  ["that is a directory", "folder", /folder": it is no file, expected one/],
];

for (const [what, shard, message] of SHARDS) {
  Deno.test(`an index that names a file ${what} is refused`, async () => {
    const files = { "model.safetensors.index.json": JSON.stringify({ weight_map: { w: shard } }) };
    await withCheckpoint({ files }, async (path) => {
      await Deno.mkdir(`${path}/folder`);
      await refused(() => openCheckpoint(path), message);
    });
  });
}

Deno.test("a link out of the directory is followed, as caches have them, and never written to", async () => {
  await withCheckpoint({}, async (path) => {
    const blob = `${path}/blob`;
    await Deno.mkdir(`${path}/snapshot`);
    await writeWeights(blob, { header: { w: entry(0, 4) }, bytes: 4 });
    const before = await Deno.stat(blob);
    await Deno.symlink("../blob", `${path}/snapshot/model.safetensors`);
    await Deno.copyFile(`${path}/config.json`, `${path}/snapshot/config.json`);
    {
      using checkpoint = await openCheckpoint(`${path}/snapshot`);
      assert.equal((await checkpoint.readRaw("w")).length, 4);
    }
    assert.deepEqual((await Deno.stat(blob)).mtime, before.mtime);
  });
});

const CONFIGS: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ["no JSON", "model_type:\n  llama", /config\.json": .*, expected JSON/],
  ["cut off", '{"architectures": ["Llama', /config\.json": .*, expected JSON/],
  ["a list", "[]", /config\.json": it is no object, expected one/],
  ["nothing", "null", /config\.json": it is no object, expected one/],
  [
    "nested without end",
    `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    /nested 100001 deep, expected at most 200/,
  ],
  [
    "of a billion layers",
    JSON.stringify({
      ...CONFIG,
      hidden_size: 8,
      intermediate_size: 8,
      num_attention_heads: 1,
      vocab_size: 8,
      num_hidden_layers: 1e9,
    }),
    /num_hidden_layers is 1000000000, .*expected number to be <=10000/,
  ],
];

for (const [what, text, message] of CONFIGS) {
  Deno.test(`a config.json that is ${what} is refused`, async () => {
    const weights = { header: { w: entry(0, 4) }, bytes: 4 };
    await withCheckpoint({ weights, files: { "config.json": text } }, async (path) => {
      await using chain = await StageChain.open(new ReferenceDevice());
      await refused(() => chain.run(load, {}, { model: path }), message);
    });
  });
}

Deno.test("a config.json that is a pipe or without end is not read", async () => {
  await withCheckpoint({}, async (path) => {
    await Deno.remove(`${path}/config.json`);
    await Deno.symlink("/dev/zero", `${path}/config.json`);
    await refused(() => openCheckpoint(path), /config\.json": it is no file, expected one/);
    await Deno.remove(`${path}/config.json`);
    using file = await Deno.open(`${path}/config.json`, { write: true, create: true });
    await file.truncate(2 ** 40);
    await refused(() => openCheckpoint(path), /has 1099511627776 bytes, expected at most/);
  });
});

/** Values of numbers in a quantization_config that mean nothing. */
const ABSURD = [0, -7, 2.5, 1e9, 1e308, "many", [], null] as const;

for (const format of ["auto_awq", "compressed_tensors", "gptq"]) {
  Deno.test(`absurd bits and groups of ${format} in config.json are refused, or contradict nothing`, async () => {
    await using chain = await StageChain.open(new ReferenceDevice());
    const plain = await writeShaped("llama_wide_heads", await chain.directory());
    const weights = { bits: 4, zero: "none", group: 32 };
    const model = await chain.run(quantize, { model: plain }, { method: "rtn", weights });
    const { path } = await chain.run(exportModel, { model, reports: [] }, { format });
    const expected = await chain.logits(await chain.run(load, {}, { model: path }));
    const config = JSON.parse(await Deno.readTextFile(`${path}/config.json`));
    const keys = format === "compressed_tensors"
      ? ["num_bits", "group_size"]
      : ["bits", "group_size"];
    let refusals = 0;
    for (const key of keys) {
      for (const value of ABSURD) {
        const text = JSON.stringify(config).replaceAll(
          new RegExp(`"${key}":[^,}]+`, "g"),
          `"${key}":${JSON.stringify(value)}`,
        );
        await Deno.writeTextFile(`${path}/config.json`, text);
        try {
          // What is taken must mean the same: groups follow from the tensors where nothing is said.
          const loaded = await chain.run(load, {}, { model: path });
          assert.deepEqual(await chain.logits(loaded), expected, `${key} ${JSON.stringify(value)}`);
        } catch (error) {
          refusals++;
          assert.ok(
            error instanceof Error && !(error instanceof assert.AssertionError),
            `${error}`,
          );
          assert.match(error.message, /^Cannot [^\n]*expected [^\n]*$/);
        }
      }
    }
    assert.ok(refusals >= 6, `${refusals} of ${2 * ABSURD.length} were refused`);
  });
}

Deno.test("every format refuses a directory whose tensors are those of another", async () => {
  await using chain = await StageChain.open(new ReferenceDevice());
  const { path } = await writeShaped("llama_wide_heads", await chain.directory());
  for (const [name, format] of Object.entries(FORMATS)) {
    if (name === "huggingface" || name === "gguf") continue;
    try {
      using reading = await format.open(path);
      // A format whose codes are told by the config alone finds none of its own.
      assert.ok(
        reading.problems.length > 0 || Object.keys(reading.linears).length === 0,
        `${name} takes plain weights for codes`,
      );
    } catch (error) {
      assert.match((error as Error).message, /^Cannot [^\n]*expected [^\n]*$/, name);
    }
  }
});

const ARCHITECTURE = { "general.architecture": { text: "llama" } } as const;

const GGUFS: readonly (readonly [what: string, bytes: Uint8Array, message: RegExp])[] = [
  ["of more tensors than bytes", gguf([u64(2n ** 17n), u64(0n)]), /truncated/],
  ["of more tensors than any", gguf([u64(2n ** 62n), u64(0n)]), /lists \d+ tensors, expected/],
  ["of more metadata than bytes", gguf([u64(0n), u64(2n ** 15n)]), /truncated/],
  ["of more metadata than any", gguf([u64(0n), u64(2n ** 62n)]), /has \d+ words, expected/],
  [
    "with a name longer than the file",
    gguf([u64(0n), u64(1n), u64(2n ** 63n), new Uint8Array(64)]),
    /truncated/,
  ],
  [
    "with a list longer than any",
    gguf([u64(0n), u64(1n), text("a"), u32(9), u32(0), u64(2n ** 40n), new Uint8Array(64)]),
    /up to "a" have 1099511627776 values, expected at most 8388608/,
  ],
  [
    "with lists in lists without end",
    gguf([
      u64(0n),
      u64(1n),
      text("a"),
      u32(9),
      ...Array.from({ length: 100_000 }, () => [u32(9), u64(1n)]).flat(),
    ]),
    /its metadata "a" has lists 3 deep, expected at most 2/,
  ],
  [
    "with a key that comes twice",
    gguf([u64(0n), u64(2n), ...[1, 2].flatMap((value) => [text("a"), u32(4), u32(value)])]),
    /its metadata has "a" twice/,
  ],
  [
    "aligned to more than there is",
    ggufBytes({
      metadata: { ...ARCHITECTURE, "general.alignment": { u32: 2 ** 31 } as GgufEntry },
      tensors: [],
    }),
    /general\.alignment is 2147483648, expected a multiple of 8 bytes/,
  ],
  [
    "aligned to what no type is a multiple of",
    ggufBytes({
      metadata: { ...ARCHITECTURE, "general.alignment": { u32: 12 } as GgufEntry },
      tensors: [],
    }),
    /general\.alignment is 12, expected a multiple of 8 bytes/,
  ],
  [
    "with a tensor that no disk holds",
    ggufBytes({
      metadata: {
        ...ARCHITECTURE,
        "llama.embedding_length": { u32: 32 },
        "llama.attention.head_count": { u32: 1 },
      },
      tensors: [{
        name: "token_embd.weight",
        shape: [2 ** 40, 2 ** 40],
        type: 0,
        bytes: new Uint8Array(64),
      }],
    }),
    /the file has \d+ bytes, expected at least/,
  ],
];

for (const [what, bytes, message] of GGUFS) {
  Deno.test(`a GGUF file ${what} is refused`, async () => {
    await withCheckpoint({}, async (path) => {
      await Deno.writeFile(`${path}/a.gguf`, bytes);
      await refused(() => openCheckpoint(`${path}/a.gguf`), message);
    });
  });
}

Deno.test("a header takes memory by its entries, and one of a million is refused before they are", async () => {
  await withCheckpoint({}, async (path) => {
    const write = async (count: number) => {
      const entries = Array.from(
        { length: count },
        (_, i) => `"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
      );
      const header = `{${entries.join()}}`;
      await writeWeights(`${path}/model.safetensors`, { header, bytes: count });
    };
    await write(2 ** 18);
    const most = await probe(path);
    assert.equal(most.said, "opened");
    // Measured 290 MB for a header of 18 MB.
    assert.ok(most.bytes < 600 * MB, `${most.bytes / MB} MB`);
    await write(1_000_000);
    const refused = await probe(path);
    assert.match(refused.said, /its header has 1000000 entries, expected at most 262144/);
    // Measured 75 MB: the header's 69 MB and nothing made of them.
    assert.ok(refused.bytes < 200 * MB, `${refused.bytes / MB} MB`);
  });
});

Deno.test("a GGUF file of a gigabyte whose header never ends takes bounded memory", async () => {
  await withCheckpoint({}, async (path) => {
    const file = `${path}/a.gguf`;
    await Deno.writeFile(file, gguf([u64(0n), u64(1n), u64(2n ** 62n)]));
    await Deno.truncate(file, 2 ** 30);
    const { said, bytes } = await probe(file);
    assert.match(said, /it is longer than 67108864 bytes, expected less/);
    // What was read last, 67 MB, and the quarter of it before.
    assert.ok(bytes < 250 * MB, `${bytes / MB} MB`);
  });
});

/** Opens a checkpoint in a process of its own. */
async function probe(path: string): Promise<{ readonly said: string; readonly bytes: number }> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", PROBE, path],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(text.startsWith("{"), new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

/** Asserts that what is opened is refused in one sentence. */
async function refused(open: () => Promise<unknown>, message: RegExp): Promise<void> {
  await assert.rejects(open, (error: Error) => {
    assert.match(error.message, /^Cannot [^\n]*[,:] [^\n]*expected [^\n]*$/);
    assert.match(error.message, message);
    return true;
  });
}

async function withCheckpoint(
  { weights, files = {} }: {
    readonly weights?: Weights;
    readonly files?: Readonly<Record<string, string>>;
  },
  use: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${path}/config.json`, JSON.stringify(CONFIG));
    if (weights) await writeWeights(`${path}/model.safetensors`, weights);
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${path}/${name}`, text);
    }
    await use(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function writeWeights(
  path: string,
  { header, length, bytes = 0 }: Weights,
): Promise<void> {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const file = new Uint8Array(8 + json.length + bytes);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  file.set(json, 8);
  await Deno.writeFile(path, file);
}

/** A GGUF file of version 3 with these bytes behind its version. */
function gguf(parts: readonly Uint8Array[]): Uint8Array {
  return joined([new TextEncoder().encode("GGUF"), u32(3), ...parts]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

function u64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}

function text(value: string): Uint8Array {
  return joined([u64(BigInt(value.length)), new TextEncoder().encode(value)]);
}
