import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import {
  deepCompressorSources,
  openDeepCompressor,
} from "../../../../stages/exchange/deepcompressor/checkpoint.ts";
import { isDeepCompressor } from "../../../../stages/exchange/deepcompressor/saved_files.ts";
import { openTorchCheckpoint } from "../../../../stages/formats/torch/checkpoint.ts";
import { openTorchFile } from "../../../../stages/formats/torch/file.ts";
import { codedValues } from "../../../../stages/quant/coded_weight.ts";
import { storedTensors } from "../../../../stages/quant/stored_weight.ts";
import type { WeightScheme } from "../../../../stages/quant/schemes.ts";
import { archive, type ArchivedFile, opcodes, u32, u64 } from "../../../support/torch_archive.ts";

const DATA = fileURLToPath(new URL("../../../testdata/torch", import.meta.url));
const FOLDER = await Deno.makeTempDir({ prefix: "quattuor-torch-" });
globalThis.addEventListener("unload", () => Deno.removeSync(FOLDER, { recursive: true }));

/** Written by tests/oracle/torch_files.py, with torch. */
const EXPECTED: {
  readonly pairs: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly values: readonly number[] }>
  >;
} = JSON.parse(await Deno.readTextFile(`${DATA}/expected.json`));

const ARRAYS: Readonly<
  Record<string, (bytes: Uint8Array<ArrayBuffer>) => ArrayLike<number | bigint>>
> = {
  F64: ({ buffer }) => new Float64Array(buffer),
  F32: ({ buffer }) => new Float32Array(buffer),
  F16: ({ buffer }) => new Float16Array(buffer),
  BF16: ({ buffer }) =>
    new Float32Array(Uint32Array.from(new Uint16Array(buffer), (x) => x << 16).buffer),
  I64: ({ buffer }) => new BigInt64Array(buffer),
  I32: ({ buffer }) => new Int32Array(buffer),
  I16: ({ buffer }) => new Int16Array(buffer),
  I8: ({ buffer }) => new Int8Array(buffer),
  U8: (bytes) => bytes,
  BOOL: (bytes) => bytes,
};

for (const protocol of [2, 4]) {
  Deno.test(`a file of torch.save with protocol ${protocol} gives torch's values for every type and view`, async () => {
    using file = await openTorchFile(`${DATA}/tensors_${protocol}.pt`);
    assert.deepEqual([...file.tensors.keys()].sort(), Object.keys(EXPECTED.tensors).sort());
    for (const [name, { shape, values }] of Object.entries(EXPECTED.tensors)) {
      const { dtype, shape: found } = file.tensors.get(name)!;
      assert.deepEqual(found, shape, name);
      const read = async (rows?: { readonly start: number; readonly end: number }) =>
        Array.from(ARRAYS[dtype]!(await file.readRaw(name, rows)), Number);
      assert.deepEqual(await read(), values, name);
      const [rows = 0, ...inner] = shape;
      if (rows < 2) continue;
      const width = inner.reduce((a, b) => a * b, 1);
      assert.deepEqual(
        await read({ start: 1, end: rows }),
        values.slice(width),
        `${name} without its first row`,
      );
    }
    assert.deepEqual(
      Object.fromEntries(file.others),
      { number: 0.5, count: 3, large: 2 ** 40, text: "text", nothing: null, flag: true },
    );
  });
}

const SCHEMES: Readonly<Record<string, WeightScheme>> = {
  post_scale_row: { bits: 4, zero: "post_scale", group: "row", levels: 1 },
  post_scale_signed: { bits: 4, zero: "post_scale", group: 8, levels: 1 },
  pre_scale_row: { bits: 4, zero: "pre_scale", group: "row", levels: 1 },
  pre_scale_signed: { bits: 4, zero: "pre_scale", group: 8, levels: 1 },
  two_levels: { bits: 4, zero: "post_scale", group: 8, levels: 2 },
  symmetric_8: { bits: 8, zero: "none", group: "row", levels: 1 },
};

for (const [name, codes] of Object.entries(EXPECTED.pairs)) {
  Deno.test(`DeepCompressor's pair ${name} gives the codes that torch made it of`, async () => {
    assert.ok(await isDeepCompressor(`${DATA}/${name}`));
    using reading = await openDeepCompressor(`${DATA}/${name}`);
    assert.deepEqual([reading.problems, reading.unexpected], [[], []]);
    assert.deepEqual(Object.keys(reading.linears).sort(), Object.keys(codes).sort());
    const scheme = SCHEMES[name]!;
    const signed = name.endsWith("_signed") ? 8 : 0;
    for (const [linear, expected] of Object.entries(codes)) {
      const { weights, inputs } = reading.linears[linear]!;
      assert.deepEqual(weights, scheme);
      assert.deepEqual(inputs, name === "two_levels" ? { bits: 8, range: "dynamic" } : undefined);
      const weight = await reading.linear(linear);
      assert.deepEqual(Array.from(weight.codes), expected.map((code) => code + signed), linear);
      const stored = await reading.checkpoint.read(`${linear}.weight`);
      const values = new Float16Array(codedValues(weight));
      // Zeros of signed codes move by 8 scales and round anew, as in DeepCompressor's own backends.
      const most = name === "post_scale_signed" ? 2 ** -10 : 0;
      const largest = stored.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      stored.forEach((value, i) =>
        assert.ok(Math.abs(value - values[i]!) <= most * largest, `${linear} ${i}`)
      );
      assert.equal(storedTensors(weight, linear)[0]!.part, "codes");
    }
  });
}

Deno.test("a model whose head shares its embeddings' storage stays tied, one with its own is untied", async () => {
  using shared = await openDeepCompressor(`${DATA}/two_levels`);
  assert.equal(shared.config.tie_word_embeddings, true);
  const texts = await copyOf("post_scale_row", { tie_word_embeddings: true });
  using own = await openDeepCompressor(`${DATA}/post_scale_row`, { texts });
  assert.equal(own.config.tie_word_embeddings, false);
  assert.deepEqual(own.problems, []);
});

Deno.test("the configuration of the run tells what inputs and the KV cache have", async () => {
  const path = await copyOf("post_scale_row");
  await Deno.writeTextFile(
    `${path}/config-241124.150000.yaml`,
    `quant:
  ipts: { dtype: sint8, group_shapes: [[1, -1, -1]], scale_dtypes: [torch.float16] }
  opts: { dtype: uint4, zero_point: PostScale, group_shapes: [[1, 128]], skips: [attn_q] }
`,
  );
  using reading = await openDeepCompressor(path);
  const [first] = Object.values(reading.linears);
  assert.deepEqual(first!.inputs, { bits: 8, range: "dynamic" });
  const scheme = { bits: 4, zero: "post_scale", group: 8 };
  assert.deepEqual(reading.kv, [{ key: scheme, value: scheme }]);
  const names = (await deepCompressorSources(path)).map((each) => each.replace(/^.*\//, ""));
  assert.deepEqual(names.sort(), [
    "config-241124.150000.yaml",
    "config.json",
    "model.pt",
    "scale.pt",
  ]);
});

Deno.test("scales of another run, of strange names or shapes are refused with the tensor's name", async () => {
  const other = await copyOf("post_scale_row");
  await Deno.copyFile(`${DATA}/symmetric_8/scale.pt`, `${other}/scale.pt`);
  await assert.rejects(
    openDeepCompressor(other),
    /Cannot recover the codes of "model\.layers\.0\.self_attn\.q_proj": a weight lies .* of one run/,
  );
  await Deno.copyFile(`${DATA}/post_scale_row/model.pt`, `${other}/scale.pt`);
  await assert.rejects(openDeepCompressor(other), /scale\.pt": it has "model\./);
  await Deno.writeTextFile(
    `${other}/config.json`,
    await configOf("post_scale_row", { hidden_size: 32 }),
  );
  await Deno.copyFile(`${DATA}/post_scale_signed/scale.pt`, `${other}/scale.pt`);
  using reading = await openDeepCompressor(other);
  assert.ok(reading.problems.some((text) => /tensor "model\.embed_tokens\.weight"/.test(text)));
  await Deno.remove(`${other}/config.json`);
  await assert.rejects(
    openDeepCompressor(other),
    /no config\.json in .* copy it and tokenizer\.json/,
  );
});

Deno.test("a torch checkpoint reads rows of a weight in single precision", async () => {
  using checkpoint = await openTorchCheckpoint({
    weights: `${DATA}/post_scale_row/model.pt`,
    texts: `${DATA}/post_scale_row`,
  });
  const name = "model.layers.0.mlp.down_proj.weight";
  const all = await checkpoint.read(name);
  assert.equal(all.length, 16 * 24);
  assert.deepEqual(await checkpoint.read(name, { start: 3, end: 5 }), all.slice(72, 120));
});

Deno.test("a file in torch's old form is refused with the way out", async () => {
  await assert.rejects(
    openTorchFile(`${DATA}/legacy.pt`),
    /a pickle in torch's form before 1\.6, expected a file of torch\.save; convert it .*save_file/,
  );
});

const PWNED = `${FOLDER}/pwned`;
const TOUCH = `touch ${PWNED}`;
const PROTO = "\x80\x02";
const text = (value: string) => opcodes("X", u32(value.length), value);

/** Pickles that must be refused, with a part of the sentence. */
const HOSTILE: Readonly<Record<string, readonly [pickle: Uint8Array, says: RegExp]>> = {
  "os.system by REDUCE": [
    opcodes(PROTO, "cos\nsystem\n", [...text(TOUCH)], "\x85R."),
    /"os\.system"/,
  ],
  "posix.system by STACK_GLOBAL": [
    opcodes(
      "\x80\x04",
      [...text("posix")],
      [...text("system")],
      "\x93",
      [...text(TOUCH)],
      "\x85R.",
    ),
    /"posix\.system"/,
  ],
  "builtins.eval by GLOBAL": [
    opcodes(PROTO, "cbuiltins\neval\n", [...text("1")], "\x85R."),
    /eval/,
  ],
  "os.system by INST": [opcodes("(", `S'${TOUCH}'\n`, "ios\nsystem\n."), /opcode STRING/],
  "a bare INST": [opcodes("(ios\nsystem\n."), /opcode INST/],
  "an OBJ": [opcodes(PROTO, "(ccollections\nOrderedDict\no."), /opcode OBJ/],
  "a NEWOBJ": [opcodes(PROTO, "ccollections\nOrderedDict\n)\x81."), /opcode NEWOBJ/],
  "a name of an object's prototype": [
    opcodes(PROTO, "cconstructor\nname\n)R."),
    /"constructor\.name"/,
  ],
  "a call of a storage": [opcodes(PROTO, "ctorch\nFloatStorage\n)R."), /calls torch\.FloatStorage/],
  "a call of a text": [opcodes(PROTO, [...text("eval")], ")R."), /calls something else/],
  "attributes of a tensor": [
    opcodes(PROTO, "ctorch\nFloatStorage\n}b."),
    /attributes to something else/,
  ],
  "an extension": [opcodes(PROTO, "\x82\x01."), /opcode EXT1/],
  "a persistent id in text": [opcodes("Pmodule\n."), /opcode PERSID/],
  "a persistent id that is no storage": [
    opcodes(PROTO, [...text("secret")], "Q."),
    /no storage of torch/,
  ],
  "a storage with a path for a name": [
    opcodes(
      PROTO,
      "(",
      [...text("storage")],
      "ctorch\nFloatStorage\n",
      [...text("../../etc/passwd")],
      [...text("cpu")],
      "K\x01tQ.",
    ),
    /storage "\.\.\/\.\.\/etc\/passwd", expected a plain name/,
  ],
  "a text of 4 GB": [opcodes(PROTO, "X", u32(0xffffffff), "abc."), /a text of 4294967295 bytes/],
  "a text of 2^63 bytes": [
    opcodes("\x80\x04\x8d", u64(2n ** 63n), "abc."),
    /a text of Infinity bytes/,
  ],
  "an integer of 2 GB": [
    opcodes(PROTO, "\x8b", u32(0x7fffffff), "."),
    /an integer of 2147483647 bytes/,
  ],
  "a text cut off": [opcodes(PROTO, "X", u32(100), "abc"), /ends within 100 bytes/],
  "no end": [opcodes(PROTO, "N"), /ends within 1 bytes/],
  "an empty one": [opcodes(), /ends within 1 bytes/],
  "an empty stack": [opcodes(PROTO, "s."), /stack is empty/],
  "a missing mark": [opcodes(PROTO, "t."), /mark is missing/],
  "a mark for a value": [opcodes(PROTO, "(."), /stack is empty/],
  "a memo that is not there": [opcodes(PROTO, "h\x05."), /recalls 5/],
  "two million marks": [opcodes(PROTO, "(".repeat(2 ** 21), "."), /stack grows/],
  "two million mappings": [opcodes(PROTO, "]", "}a".repeat(2 ** 21), "."), /makes more than/],
  "two million kept objects": [opcodes(PROTO, "N", "\x94".repeat(2 ** 21), "."), /keeps more than/],
  "a newer protocol": [opcodes("\x80\x06N."), /protocol 6, expected 2 to 5/],
  "bytes that are no text": [opcodes(PROTO, "X", u32(2), "\xff\xfe."), /Cannot read the pickle/],
  "a tensor beyond its storage": [
    tensor({ length: 4, shape: [3], strides: [2] }),
    /reaches element 4 of storage 0/,
  ],
  "a tensor with a negative offset": [tensor({ offset: -1 }), /a storage, an offset and sizes/],
  "a list in place of a mapping": [opcodes(PROTO, "]."), /no mapping of names/],
};

for (const [what, [pickle, says]] of Object.entries(HOSTILE)) {
  Deno.test(`a pickle with ${what} is refused in a sentence, and nothing in it runs`, async () => {
    const path = await written(archive(archived(pickle)));
    const error = await openTorchFile(path).then(
      () => assert.fail("it was read"),
      (error) => error,
    );
    assert.match(error.message, says);
    assert.match(error.message, /^Cannot read .*expected|^Cannot read the pickle of/s);
    assert.ok(!error.message.includes("\n"), error.message);
    await assert.rejects(Deno.stat(PWNED), Deno.errors.NotFound);
  });
}

Deno.test("mappings that hold each other take no more memory than they are long", async () => {
  // Each level holds the one before ten times: 10^40 leaves, were they copied.
  const levels = Array.from({ length: 40 }, () => `${"h\x00".repeat(10)}tq\x00(`).join("");
  const path = await written(archive(archived(opcodes(PROTO, ")q\x000((", levels, "00}."))));
  using file = await openTorchFile(path);
  assert.equal(file.tensors.size, 0);
});

Deno.test("a view that repeats one element far too often is refused when it is read", async () => {
  const pickle = tensor({ shape: [2 ** 20, 2 ** 20], strides: [0, 0] });
  using file = await openTorchFile(await written(archive(archived(pickle))));
  await assert.rejects(file.readRaw("x"), /scattered over 4 bytes for 4398046511104/);
  assert.equal((await file.readRaw("x", { start: 0, end: 1 })).length, 2 ** 22);
});

Deno.test("the long forms of the zip format are read", async () => {
  const files = archived(tensor({})).map((file) => ({ ...file, wide: true }));
  for (const end of [{}, { wide: true }]) {
    using file = await openTorchFile(await written(archive(files, end)));
    const values = new Float32Array((await file.readRaw("x")).buffer);
    assert.deepEqual([...values], [0.5, 1, 1.5, 2]);
  }
});

/** Archives that must be refused, with a part of the sentence. */
const BROKEN: Readonly<Record<string, readonly [archive: () => Uint8Array, says: RegExp]>> = {
  "a compressed file": [
    () => archive(patched({ method: 8, packed: 5, size: 2 ** 31 })),
    /is compressed/,
  ],
  "sizes that differ": [() => archive(patched({ packed: 1, size: 16 })), /is compressed/],
  "an encrypted file": [() => archive(patched({ flags: 1 })), /is encrypted/],
  "a file beyond its end": [() => archive(patched({ size: 2 ** 31 })), /lies outside/],
  "a header beyond its end": [() => archive(patched({ header: 2 ** 31 })), /lies outside/],
  "a header of 2^62": [
    () => archive(patched({ header: 2 ** 62, wide: true })),
    /lies outside/,
  ],
  "a header that is none": [() => archive(patched({ header: 3 })), /not where its directory says/],
  "files that overlap": [() => archive(patched({ header: 0 })), /overlap/],
  "a name twice": [
    () => archive([...archived(tensor({})), ...archived(tensor({})).slice(0, 1)]),
    /"x\/data\.pkl" twice/,
  ],
  "two pickles": [
    () => archive([...archived(tensor({})), { name: "y/data.pkl", bytes: tensor({}) }]),
    /has 2 files data\.pkl/,
  ],
  "no pickle": [() => archive(archived(tensor({})).slice(1)), /has 0 files data\.pkl/],
  "a storage that is missing": [
    () => archive(archived(tensor({})).slice(0, 1)),
    /storage 0 has no file/,
  ],
  "a storage that is too short": [
    () =>
      archive([...archived(tensor({})).slice(0, 1), { name: "x/data/0", bytes: opcodes("abc") }]),
    /storage 0 has 3 bytes, expected 16 bytes/,
  ],
  "the other byte order": [
    () => archive([...archived(tensor({})), { name: "x/byteorder", bytes: opcodes("big") }]),
    /byte order is "big", expected little/,
  ],
  "a directory beyond its end": [
    () => archive(archived(tensor({})), { start: 2 ** 31 }),
    /directory lies at/,
  ],
  "a directory of 2^40 entries": [
    () => archive(archived(tensor({})), { wide: true, count: 2 ** 40 }),
    /1099511627776 entries/,
  ],
  "a directory of 2^50 bytes": [
    () => archive(archived(tensor({})), { wide: true, size: 2 ** 50 }),
    /in 1125899906842624 bytes/,
  ],
  "fewer entries than it says": [
    () => archive(archived(tensor({})), { count: 9 }),
    /entry 3 .* cut off/,
  ],
  "its end cut off": [() => archive(archived(tensor({}))).slice(0, -5), /no directory at its end/],
  "its second half cut off": [
    () => archive(archived(tensor({}))).slice(0, 150),
    /no directory at its end/,
  ],
  "a name that is no text": [
    () =>
      archive([{ name: "x/data.pkl", bytes: tensor({}) }]).map((byte) =>
        byte === 0x78 ? 0xff : byte
      ),
    /is no text/,
  ],
};

for (const [what, [make, says]] of Object.entries(BROKEN)) {
  Deno.test(`an archive with ${what} is refused in a sentence`, async () => {
    const path = await written(make());
    await assert.rejects(openTorchFile(path), (error: Error) => {
      assert.match(error.message, says);
      assert.match(error.message, /^Cannot read .*, expected /s);
      return true;
    });
  });
}

/** A directory with the files of a pair, whose config differs in some keys. */
async function copyOf(
  pair: string,
  config: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const job = await Deno.makeTempDir({ dir: FOLDER });
  const path = `${job}/model`;
  await Deno.mkdir(path);
  for (const name of ["model.pt", "scale.pt"]) {
    await Deno.copyFile(`${DATA}/${pair}/${name}`, `${path}/${name}`);
  }
  await Deno.writeTextFile(`${path}/config.json`, await configOf(pair, config));
  return path;
}

async function configOf(pair: string, changes: Readonly<Record<string, unknown>>): Promise<string> {
  const json = JSON.parse(await Deno.readTextFile(`${DATA}/${pair}/config.json`));
  return JSON.stringify({ ...json, ...changes });
}

async function written(bytes: Uint8Array): Promise<string> {
  const path = `${FOLDER}/file.pt`;
  await Deno.writeFile(path, bytes);
  return path;
}

/** The files of a torch archive with four numbers in one storage. */
function archived(pickle: Uint8Array): ArchivedFile[] {
  const numbers = new Uint8Array(new Float32Array([0.5, 1, 1.5, 2]).buffer);
  return [{ name: "x/data.pkl", bytes: pickle }, { name: "x/data/0", bytes: numbers }];
}

function patched(changes: Partial<ArchivedFile>): ArchivedFile[] {
  const [pickle, numbers] = archived(tensor({}));
  return [pickle!, { ...numbers!, ...changes }];
}

/** The pickle of a mapping with one tensor, as torch.save writes it. */
function tensor({ length = 4, offset = 0, shape = [4], strides = [1] }: {
  readonly length?: number;
  readonly offset?: number;
  readonly shape?: readonly number[];
  readonly strides?: readonly number[];
}): Uint8Array {
  const int = (value: number) => [0x4a, ...u32(value >>> 0)];
  const sizes = (values: readonly number[]) => ["(", values.flatMap(int), "t"];
  return opcodes(
    PROTO,
    "}(",
    [...text("x")],
    "ctorch._utils\n_rebuild_tensor_v2\n((",
    [...text("storage")],
    "ctorch\nFloatStorage\n",
    [...text("0")],
    [...text("cpu")],
    int(length),
    "tQ",
    int(offset),
    ...sizes(shape),
    ...sizes(strides),
    "\x89ccollections\nOrderedDict\n)RtRu.",
  );
}
