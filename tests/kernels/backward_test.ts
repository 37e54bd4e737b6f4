import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import type { Device, HostTensor, Tensor } from "../../kernels/device/device.ts";
import { elements, f32, u32 } from "../../kernels/device/tensor.ts";
import * as kernels from "../../kernels/mod.ts";
import { openSafetensors } from "../../stages/formats/safetensors/file.ts";
import { DEVICES } from "../support/devices.ts";
import { errorOf } from "../support/kernel_cases.ts";
import { type Hosts, launch } from "../support/launch.ts";
import { randomTensor } from "../support/random.ts";

const ORACLE = fileURLToPath(new URL("../testdata/backward.st", import.meta.url));

/** Tensors of `tests/oracle/backward.py` under the name of a kernel. */
async function oracleOf(kernel: string): Promise<Hosts> {
  using file = await openSafetensors(ORACLE);
  const found: Record<string, HostTensor> = {};
  for (const [name, { shape }] of file.tensors) {
    const [owner, tensor = ""] = name.split(".");
    if (owner !== kernel) continue;
    const data = await file.read(name);
    found[tensor] = tensor === "targets"
      ? u32(shape, Uint32Array.from(data, Number))
      : f32(shape, Float32Array.from(data, Number));
  }
  assert.ok(Object.keys(found).length > 2, `${kernel} is not in the oracle`);
  return found;
}

/** Asserts that gradients are those of autograd, to 5 digits. */
function same(got: Hosts, oracle: Hosts): void {
  for (const [name, tensor] of Object.entries(got)) {
    const expected = oracle[name]!;
    assert.deepEqual(tensor.shape, expected.shape, name);
    const error = Math.sqrt(errorOf(tensor, expected));
    assert.ok(error < 1e-5, `${name}: ${error}`);
  }
}

const ROWS = 5;
const EPS = 1e-5;

for (const [on, open] of Object.entries(DEVICES)) {
  Deno.test(`gradients are those of PyTorch's autograd on ${on}`, async () => {
    await using device = await open();
    await norms(device);
    await gates(device);
    await turns(device);
    await attention(device);
    await losses(device);
    await products(device);
  });
}

async function norms(device: Device): Promise<void> {
  const { x, gain, dy, ...oracle } = await oracleOf("rmsNormBackward");
  const before = randomTensor(x!, "gradient of the residual");
  const { sum } = await launch(device, kernels.rmsNormBackward, {
    inputs: { x: x!, gain: gain!, dy: dy!, sum: before },
    options: { eps: EPS },
    names: ["sum"],
  });
  const added = Float32Array.from(sum!.data, (value, i) => value - before.data[i]!);
  same({ dx: f32(x!.shape, added) }, oracle);
}

async function gates(device: Device): Promise<void> {
  const { x, dy, ...oracle } = await oracleOf("gluBackward");
  const inputs = { x: x!, dy: dy! };
  same(await launch(device, kernels.gluBackward, { inputs, names: ["dx"] }), oracle);
}

async function turns(device: Device): Promise<void> {
  const { dq, dk, dv, angles, ...oracle } = await oracleOf("ropeBackward");
  const tokens = dq!.shape[0]!;
  const positions = u32([tokens], Array.from({ length: tokens }, (_, i) => i));
  const inputs = { dq: dq!, dk: dk!, dv: dv!, positions, angles: angles! };
  same(await launch(device, kernels.ropeBackward, { inputs, names: ["dx"] }), oracle);
}

async function attention(device: Device): Promise<void> {
  const { q, k, v, y, dy, ...oracle } = await oracleOf("attentionBackward");
  const { dq, rows } = await launch(device, kernels.attentionBackward, {
    inputs: { q: q!, k: k!, v: v!, y: y!, dy: dy! },
    names: ["dq", "rows"],
  });
  const others = await launch(device, kernels.attentionBackwardKeys, {
    inputs: { q: q!, k: k!, v: v!, dy: dy!, rows: rows! },
    names: ["dk", "dv"],
  });
  same({ dq: dq!, ...others }, oracle);
}

/** A loss of some columns of logits at a time, the last of which are not a multiple of 8. */
async function losses(device: Device): Promise<void> {
  const { logits, targets, dy } = await oracleOf("nllBackward");
  const [rows = 0, columns = 0] = logits!.shape;
  const cuts = [0, 16, columns];
  const pieces = cuts.slice(1).map((end, i) => {
    const first = cuts[i]!;
    const data = Array.from({ length: rows }, (_, row) => {
      return [...logits!.data.subarray(row * columns + first, row * columns + end)].map(Number);
    });
    return { first, piece: f32([rows, end - first], data.flat()) };
  });
  let state: HostTensor = f32([rows, 3]);
  for (const { first, piece } of pieces) {
    const { state: next } = await launch(device, kernels.nll, {
      inputs: { logits: piece, targets: targets!, state },
      options: { column: first, first: first === 0 },
      names: ["state"],
    });
    state = next!;
  }
  const made = new Float32Array(rows * columns);
  for (const { first, piece } of pieces) {
    const { dy: some } = await launch(device, kernels.nllBackward, {
      inputs: { logits: piece, targets: targets!, state },
      options: { column: first, factor: 1 / rows },
      names: ["dy"],
    });
    const [, width = 0] = some!.shape;
    for (let i = 0; i < some!.data.length; i++) {
      const [row, c] = [Math.floor(i / width), i % width];
      if (c < piece.shape[1]!) made[row * columns + first + c] = some!.data[i]!;
      else assert.equal(some!.data[i], 0, "what stands behind the last column is not 0");
    }
  }
  same({ dy: f32([rows, columns], made) }, { dy: dy! });
}

/** Gradients of a linear are products of transposed matrices. */
async function products(device: Device): Promise<void> {
  const { x, weight, dy, ...oracle } = await oracleOf("matmul");
  using stack = new DisposableStack();
  const upload = (host: HostTensor) => stack.use(device.upload(host));
  const turned = (tensor: Tensor) => {
    return stack.use(device.run(kernels.transpose, { x: tensor }, {}).y);
  };
  const product = (left: Tensor, right: Tensor) => {
    const shape = [left.shape[0]!, right.shape[0]!];
    const y = stack.use(device.empty({ dtype: "f32", shape }));
    device.run(kernels.matmul, { x: left, weight: right, y }, {});
    return y;
  };
  const own = upload(dy!);
  const dx = await device.read(product(own, turned(upload(weight!))));
  const dw = await device.read(product(turned(own), turned(upload(x!))));
  same({ dx, dw }, oracle);
}

Deno.test("gradients are the slopes of what the forward kernels make", () => {
  const of = (shape: readonly number[], seed: string) =>
    randomTensor({ dtype: "f32", shape }, seed);
  const columns = 20;
  const x = of([ROWS, columns], "x");
  const dy = of([ROWS, columns], "dy");
  const gain = of([columns], "gain");
  const { sum } = kernels.rmsNormBackward.reference({
    x,
    gain,
    dy,
    sum: f32([ROWS, columns]),
  }, { eps: EPS });
  slopes({ x, dx: sum }, (x) => {
    const { y } = kernels.rmsNorm.reference({ x, gain }, { eps: EPS });
    return weighed(y, dy);
  });

  const both = of([ROWS, 2 * columns], "gates");
  const { dx } = kernels.gluBackward.reference({ x: both, dy }, {});
  slopes({ x: both, dx }, (gate) => weighed(kernels.glu.reference({ gate }, {}).y, dy));

  const [q, k, v] = [of([9, 4, 8], "q"), of([9, 2, 8], "k"), of([9, 2, 8], "v")];
  const made = of([9, 4, 8], "gradient of attention");
  const { y } = kernels.attention.reference({ q, k, v }, {});
  const inner = kernels.attentionBackward.reference({ q, k, v, y, dy: made }, {});
  const outer = kernels.attentionBackwardKeys.reference(
    { q, k, v, dy: made, rows: inner.rows },
    {},
  );
  const loss = (inputs: Partial<Record<"q" | "k" | "v", HostTensor>>) => {
    return weighed(kernels.attention.reference({ q, k, v, ...inputs }, {}).y, made);
  };
  slopes({ x: q, dx: inner.dq }, (q) => loss({ q }));
  slopes({ x: k, dx: outer.dk }, (k) => loss({ k }));
  slopes({ x: v, dx: outer.dv }, (v) => loss({ v }));
});

/** The sum of products. */
function weighed(y: HostTensor, dy: HostTensor): number {
  let sum = 0;
  for (let i = 0; i < y.data.length; i++) sum += y.data[i]! * dy.data[i]!;
  return sum;
}

/** Asserts that a loss changes along some directions as its gradient says. */
function slopes(
  { x, dx }: { readonly x: HostTensor; readonly dx: HostTensor },
  loss: (x: HostTensor) => number,
): void {
  const step = 1e-3;
  for (const seed of ["first", "second"]) {
    const along = randomTensor(x, `direction ${seed} ${elements(x.shape)}`);
    const at = (t: number) =>
      loss(f32(x.shape, Float32Array.from(x.data, (value, i) => value + t * along.data[i]!)));
    const got = weighed(dx, along);
    const expected = (at(step) - at(-step)) / (2 * step);
    // What single precision keeps of the difference of two losses.
    assert.ok(Math.abs(got - expected) < 2e-3 * (1 + Math.abs(expected)), `${got}, ${expected}`);
  }
}
