import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { packAwq, unpackAwq } from "../../../../stages/exchange/auto_awq/codes.ts";
import { gptqValues, packGptq, unpackGptq } from "../../../../stages/exchange/gptq/codes.ts";
import type { GptqVersion } from "../../../../stages/exchange/gptq/zeros.ts";
import type { PartValues } from "../../../../stages/exchange/part_values.ts";
import type { CodedLinear } from "../../../../stages/exchange/subject.ts";
import { codedLinear } from "../../../support/coded_linear.ts";
import {
  packTinychat,
  scaleRows,
  unpackTinychat,
} from "../../../../stages/exchange/tinychat/codes.ts";
import { bytesOf } from "../../../../stages/formats/half.ts";
import {
  codedValues,
  type CodedWeight,
  type OneLevelWeight,
} from "../../../../stages/quant/coded_weight.ts";
import type { WeightScheme } from "../../../../stages/quant/schemes.ts";

/** What `oracle/awq_gptq.py` writes of each case; tensors are hex. */
interface Vector {
  readonly rows: number;
  readonly columns: number;
  readonly group: number;
  readonly codes: string;
  readonly zeros: string;
  readonly scales: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly values: string;
}

interface GptqVector extends Vector {
  readonly bits: WeightScheme["bits"];
  readonly symmetric: boolean;
  readonly version: GptqVersion;
  readonly permuted: boolean;
}

const VECTORS: {
  readonly gptq: readonly GptqVector[];
  readonly auto_awq: readonly Vector[];
  readonly tinychat: readonly Vector[];
} = JSON.parse(
  await Deno.readTextFile(new URL("../../../testdata/awq_gptq.json", import.meta.url)),
);
const Q = "model.layers.0.self_attn.q_proj";

for (const vector of VECTORS.gptq.filter(({ permuted }) => !permuted)) {
  const { bits, group, symmetric, version } = vector;
  const words = `${bits} bits, group ${group}, ${symmetric ? "symmetric" : "zero points"}`;
  Deno.test(`gptq: words of version ${version} are those of gptqmodel at ${words}`, () => {
    const weight = codedOf(vector, { bits, zero: symmetric ? "none" : "pre_scale" });
    const parts = gptqPartsOf(vector);
    for (const [part, values] of Object.entries(parts)) {
      assert.deepEqual(packGptq(weight, part, { version, name: Q }), values, part);
    }
    const linear = linearOf(weight);
    const got = unpackGptq(linear, parts, version);
    assert.deepEqual(got, weight);
    assert.equal(digestOf(codedValues(got)), vector.values);
    assert.equal(digestOf(gptqValues(linear, parts, { version })), vector.values);
    // Rows of it alone, and without the index that some programs leave out.
    const { g_idx: _, ...plain } = parts;
    const range = { start: 5, end: 11 };
    assert.deepEqual(gptqValues(linear, plain, { version, range }), codedValues(weight, range));
  });
}

for (const vector of VECTORS.gptq.filter(({ permuted }) => permuted)) {
  const { bits, symmetric, version } = vector;
  Deno.test(`gptq: groups over permuted inputs are values, not codes, at ${bits} bits`, () => {
    const weight = codedOf(vector, { bits, zero: symmetric ? "none" : "pre_scale" });
    const [linear, parts] = [linearOf(weight), gptqPartsOf(vector)];
    assert.throws(
      () => unpackGptq(linear, parts, version),
      /^TypeError: tensor "model\.layers\.0\.self_attn\.q_proj\.g_idx": input \d+ is in group \d, expected \d: .*codes to dequantize/,
    );
    assert.equal(digestOf(gptqValues(linear, parts, { version })), vector.values);
  });
}

Deno.test("gptq: a zero point of 0 moves up by one with its codes, which reads the same", () => {
  const [vector] = VECTORS.gptq.filter(({ bits, symmetric }) => bits === 4 && !symmetric);
  const weight = codedOf(vector!, { bits: 4, zero: "pre_scale" });
  const codes = weight.codes.map((code) => Math.min(code, 14)) as Uint8Array<ArrayBuffer>;
  const zeros = weight.zeros!.map((zero, at) => at % 3 === 0 ? 0 : zero) as Uint8Array<ArrayBuffer>;
  const moved = { ...weight, codes, zeros };
  const parts = Object.fromEntries(
    ["qweight", "qzeros", "scales"].map((
      part,
    ) => [part, packGptq(moved, part, { version: 1, name: Q }) as PartValues]),
  );
  const got = unpackGptq(linearOf(weight), parts, 1);
  assert.ok(!got.zeros!.includes(0));
  assert.deepEqual(codedValues(got), codedValues(moved));
  codes[16] = 15;
  zeros[1] = 0;
  assert.throws(
    () => packGptq(moved, "qweight", { version: 1, name: Q }),
    /^RangeError: Cannot pack "\S+q_proj" as gptq: output 0 has a group with zero point 0 and code 15, expected .*; export to gptq_v2$/,
  );
  const plain = packGptq(moved, "qweight", { version: 2, name: Q }) as PartValues;
  const points = packGptq(moved, "qzeros", { version: 2, name: Q }) as PartValues;
  const kept = unpackGptq(linearOf(weight), { ...parts, qweight: plain, qzeros: points }, 2);
  assert.deepEqual([kept.codes, kept.zeros], [codes, zeros]);
});

Deno.test("gptq: symmetric codes may have zero points as either version stores them, but one", () => {
  const version = (wanted: GptqVersion) =>
    VECTORS.gptq.find(({ bits, symmetric, version, permuted }) =>
      bits === 8 && symmetric && version === wanted && !permuted
    )!;
  for (const [stored, read] of [[1, 2], [2, 1]] as const) {
    const weight = codedOf(version(stored), { bits: 8, zero: "none" });
    const parts = gptqPartsOf(version(stored));
    assert.deepEqual(unpackGptq(linearOf(weight), parts, read).codes, weight.codes);
    (parts.qzeros as Int32Array)[3]! ^= 1 << 8;
    assert.throws(
      () => unpackGptq(linearOf(weight), parts, read),
      /q_proj\.qzeros": output \d+, group \d is \d+, expected 12[78] throughout, for sym is true/,
    );
  }
});

for (const vector of VECTORS.auto_awq) {
  Deno.test(`auto_awq: words are those of AutoAWQ in groups of ${vector.group}`, () => {
    const weight = codedOf(vector, { bits: 4, zero: "pre_scale" });
    const parts = {
      qweight: new Int32Array(fromHex(vector.parts.qweight!).buffer),
      qzeros: new Int32Array(fromHex(vector.parts.qzeros!).buffer),
      scales: new Float16Array(fromHex(vector.parts.scales!).buffer),
    };
    for (const [part, values] of Object.entries(parts)) {
      assert.deepEqual(packAwq(weight, part), values, part);
    }
    const got = unpackAwq(linearOf(weight), parts);
    assert.deepEqual(got, weight);
    assert.equal(digestOf(codedValues(got)), vector.values);
  });
}

Deno.test("auto_awq: signed codes become unsigned ones around 8", () => {
  const unsigned = codedOf(VECTORS.auto_awq[0]!, { bits: 4, zero: "pre_scale" });
  const { zeros, ...weight } = unsigned;
  const signed: CodedWeight = {
    ...weight,
    scheme: { ...weight.scheme, zero: "none" },
    codes: Int8Array.from(weight.codes, (code) => code - 8),
  };
  assert.deepEqual(packAwq(signed, "qweight"), packAwq(unsigned, "qweight"));
  assert.deepEqual(
    packAwq(signed, "qzeros"),
    packAwq({ ...unsigned, zeros: zeros!.map(() => 8) as Uint8Array<ArrayBuffer> }, "qzeros"),
  );
});

for (const vector of VECTORS.tinychat) {
  Deno.test(`tinychat: words are those of llm-awq in groups of ${vector.group}`, () => {
    const weight = codedOf(vector, { bits: 4, zero: "pre_scale" });
    const parts = {
      qweight: new Int16Array(fromHex(vector.parts.qweight!).buffer),
      scales: new Float16Array(fromHex(vector.parts.scales!).buffer),
      scaled_zeros: new Float16Array(fromHex(vector.parts.scaled_zeros!).buffer),
    };
    for (const [part, values] of Object.entries(parts)) {
      // The packer leaves negative zeros where a zero point is 0.
      assert.deepEqual(packTinychat(weight, part, Q), values.map((value) => value + 0), part);
    }
    const scheme = { ...weight.scheme, zero: "post_scale" } as const;
    const got = unpackTinychat(linearOf({ ...weight, scheme }), parts);
    assert.deepEqual(got.codes, weight.codes);
    assert.equal(digestOf(codedValues(got)), vector.values);
    for (const part of ["qweight", "scales", "scaled_zeros"] as const) {
      assert.deepEqual(packTinychat(got, part, Q), parts[part].map((value) => value + 0), part);
    }
  });
}

Deno.test("tinychat: the worked example of the format's definition", () => {
  const scheme: WeightScheme = { bits: 4, zero: "pre_scale", group: 64, levels: 1 };
  const code = (i: number, j: number) => (i + 3 * j + Math.floor(j / 8)) % 16;
  const weight: CodedWeight = {
    scheme,
    rows: 4,
    columns: 64,
    codes: Uint8Array.from({ length: 256 }, (_, at) => code(Math.floor(at / 64), at % 64)),
    scales: new Float16Array([0.125, 0.25, 0.5, 1]),
    zeros: new Uint8Array([7, 8, 6, 5]),
  };
  const words = [...packTinychat(weight, "qweight", Q) as Int16Array];
  assert.deepEqual(
    words.slice(0, 8),
    [-19824, -6717, 6390, 19241, 32348, -24177, -11086, 2021],
  );
  const second = words.slice(16, 24).map((word) => (word & 0xffff).toString(16).padStart(4, "0"));
  assert.deepEqual(second, "c3a1 f6d4 2907 5c3a 8f6d b290 e5c3 18f6".split(" "));
  const scales = [...packTinychat(weight, "scales", Q) as Float16Array];
  const zeros = [...packTinychat(weight, "scaled_zeros", Q) as Float16Array];
  assert.deepEqual([scales.length, zeros.length], [64, 64]);
  assert.deepEqual(scales.slice(0, 4), [0.125, 0.25, 0.5, 1]);
  assert.deepEqual(zeros.slice(0, 4), [-0.875, -2, -3, -5]);
  assert.ok([...scales.slice(4), ...zeros.slice(4)].every((value) => value === 0));
});

Deno.test("tinychat: scales have as many rows as the engine pads them to", () => {
  for (
    const [columns, group, rows] of [
      [4096, 128, 32],
      [11008, 128, 88],
      [128, 128, 8],
      [256, 64, 16],
      [4096, 32, 128],
    ] as const
  ) {
    assert.equal(scaleRows(columns, group), rows);
  }
});

/** The weight of a vector as model artifacts hold it. */
function codedOf(
  { rows, columns, group, ...vector }: Vector,
  { bits, zero }: Pick<WeightScheme, "bits" | "zero">,
): OneLevelWeight {
  const codes = fromHex(vector.codes);
  const grid = {
    scheme: { bits, zero, group: group < 0 ? "row" : group, levels: 1 } as const,
    rows,
    columns,
    scales: new Float16Array(fromHex(vector.scales).buffer),
  };
  if (zero === "none") {
    return {
      ...grid,
      codes: Int8Array.from(codes, (code) => code - 2 ** (bits - 1)),
    };
  }
  return { ...grid, codes, zeros: fromHex(vector.zeros) };
}

function gptqPartsOf({ parts }: Vector): Record<string, PartValues> {
  return Object.fromEntries(
    Object.entries(parts).map(([part, hex]) => {
      const { buffer } = fromHex(hex);
      return [part, part === "scales" ? new Float16Array(buffer) : new Int32Array(buffer)];
    }),
  );
}

function linearOf(
  { rows, columns, scheme: weights }: Pick<CodedWeight, "rows" | "columns" | "scheme">,
): CodedLinear {
  return codedLinear({ name: Q, rows, columns, scheme: { weights } });
}

function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    { length: hex.length / 2 },
    (_, at) => parseInt(hex.slice(2 * at, 2 * at + 2), 16),
  );
}

function digestOf(values: Float32Array): string {
  return createHash("sha256").update(bytesOf(values)).digest("hex");
}
