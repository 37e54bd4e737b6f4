/**
 * Times products of 4-bit inputs against those of 8-bit ones, and what makes the inputs, in turns, so that
 * another program's load meets all: the least of each over all rounds.
 *
 * `deno task bench products [--rounds 40] [--rows 1,16,64,512] [--inner 1536]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import type { Device, HostTensor } from "../../kernels/device/device.ts";
import type { Cpu } from "../../kernels/device/cpu/cpu.ts";
import type { Gpu } from "../../kernels/device/gpu.ts";
import { u32 } from "../../kernels/device/tensor.ts";
import {
  hadamard,
  matmulGroups,
  matmulInt8,
  quantizeGroups,
  quantizeRows,
} from "../../kernels/mod.ts";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { hadamardFactor, leftFactor } from "../../stages/quant/hadamard.ts";
import { randomTensor } from "../support/random.ts";
import { finished } from "./finished.ts";

const GROUP = 128;
/** Seconds that a turn takes at least. */
const TURN = 0.02;

/** A launch that is timed. */
interface Launch {
  readonly name: string;
  run(): void;
  /** Least seconds so far. */
  least: number;
  /** Times in a turn. */
  times: number;
}

/** A product with what makes its inputs. */
interface Contender {
  readonly name: string;
  readonly product: Launch;
  readonly inputs: readonly Launch[];
}

/** Measures what the arguments say and prints a line for each precision. */
export async function benchProducts(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "40" },
      rows: { type: "string", default: "1,16,64,512" },
      inner: { type: "string", default: "1536" },
    },
  });
  await using device = await openTunedDevice(Deno.env.get("QUATTUOR_DEVICE"));
  const [rounds, inner] = [Number(values.rounds), Number(values.inner)];
  const say = (line: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
  say(`${device.name}; ${inner} by ${inner} weights, least of ${rounds} turns, ms`);
  say(cells(["rows", "precision", "product", "inputs", "both", "of W4A8 groups"]));
  for (const rows of values.rows.split(",").map(Number)) {
    using stack = new DisposableStack();
    const contenders = contendersOf(device, { rows, inner }, stack);
    const launches = new Set(contenders.flatMap(({ product, inputs }) => [product, ...inputs]));
    for (let round = 0; round < rounds; round++) {
      for (const launch of launches) await turn(device, launch);
    }
    const bothOf = ({ product, inputs }: Contender) => product.least + sum(inputs);
    const base = bothOf(contenders.find(({ name }) => name === "W4A8 groups")!);
    for (const one of contenders) {
      const ms = (seconds: number) => (1000 * seconds).toFixed(3);
      const both = bothOf(one);
      const ratio = (both / base).toFixed(2);
      say(cells([
        String(rows),
        one.name,
        ms(one.product.least),
        ms(sum(one.inputs)),
        ms(both),
        ratio,
      ]));
    }
  }
}

function contendersOf(
  device: Device,
  { rows, inner }: { readonly rows: number; readonly inner: number },
  stack: DisposableStack,
): Contender[] {
  const put = (tensor: HostTensor) => stack.use(device.upload(tensor));
  const any = (dtype: "f32" | "u32", shape: readonly [number, number]) =>
    put(randomTensor({ dtype, shape }, shape.join()));
  const values = any("f32", [rows, inner]);
  const y = stack.use(device.empty({ dtype: "f32", shape: [rows, inner] }));
  const codes = { x: any("u32", [rows, inner / 4]), y };
  const [xRows, wRows] = [any("f32", [rows, 2]), any("f32", [inner, 2])];
  const nibbles = any("u32", [inner, inner / 8]);
  const byRow = { ...codes, x_rows: xRows, w_rows: wRows };
  const all = (shape: readonly [number, number], word: number) =>
    put(u32(shape, new Uint32Array(shape[0] * shape[1]).fill(word)));
  // A scale of 16 and a zero of 120, which leave signed bytes, twice in a word.
  const levels = all([inner, Math.ceil(inner / GROUP / 2)], 0x78107810);
  const byGroup = {
    ...codes,
    x_groups: any("f32", [rows, 2 * inner / GROUP]),
    weight: any("u32", [inner, (inner + GROUP) / 8]),
    // A scale of 2^-5 as a half, and a zero of 8.
    w_groups: all([inner, inner / GROUP], 0x00082800),
  };
  const order = put(u32([inner], Array.from({ length: inner }, (_, i) => (7 * i + 3) % inner)));
  const left = leftFactor(hadamardFactor(inner));
  const factor = left && put(left);
  const launch = (name: string, run: () => object): Launch => ({
    name,
    least: Infinity,
    times: 1,
    run() {
      for (const output of Object.values(run()) as Disposable[]) output[Symbol.dispose]();
    },
  });
  const groups = { group: GROUP, bits: 4, clip: 0.9, outliers: true } as const;
  const eight = launch("8 bits", () => device.run(quantizeRows, { x: values }, {}));
  const four = launch(
    "4 bits",
    () => device.run(quantizeRows, { x: values }, { bits: 4, clip: 0.9 }),
  );
  const grouped = launch(
    "4 bits, groups",
    () => device.run(quantizeGroups, { x: values, order }, groups),
  );
  const turned = launch(
    "Hadamard",
    () => device.run(hadamard, { x: values, ...factor && { left: factor } }, {}),
  );
  const rowProduct = launch("rows", () => {
    device.run(matmulInt8, { ...byRow, weight: nibbles }, { bits: 4 });
    return {};
  });
  const levelProduct = launch("levels", () => {
    const given = { ...byRow, weight: nibbles, groups: levels };
    device.run(matmulInt8, given, { bits: 4, group: GROUP });
    return {};
  });
  const groupProduct = launch("groups", () => {
    device.run(matmulGroups, byGroup, { group: GROUP, outliers: true });
    return {};
  });
  return [
    { name: "W4A8 groups", product: levelProduct, inputs: [eight] },
    { name: "W4A8 rows", product: rowProduct, inputs: [eight] },
    { name: "W4A4 rows", product: rowProduct, inputs: [four] },
    { name: "... turned", product: rowProduct, inputs: [turned, four] },
    { name: "W4A4 groups", product: groupProduct, inputs: [grouped] },
  ];
}

/** Times a launch once, as often as fills a turn. */
async function turn(device: Cpu | Gpu, launch: Launch): Promise<void> {
  await finished(device);
  const start = performance.now();
  for (let i = 0; i < launch.times; i++) launch.run();
  await finished(device);
  const seconds = (performance.now() - start) / 1000;
  launch.least = Math.min(launch.least, seconds / launch.times);
  launch.times = Math.max(1, Math.ceil(TURN / launch.least));
}

function sum(launches: readonly Launch[]): number {
  return launches.reduce((all, { least }) => all + least, 0);
}

function cells(all: readonly string[]): string {
  return all.map((cell, i) => i === 1 ? cell.padEnd(14) : cell.padStart(i === 0 ? 5 : 15)).join(
    " ",
  );
}
