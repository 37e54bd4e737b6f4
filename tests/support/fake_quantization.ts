import { strict as assert } from "node:assert";
import type { HostTensor, Inputs, Tensor } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { f32, u32 } from "../../kernels/device/tensor.ts";
import { attention, matmul, routeTokens } from "../../kernels/mod.ts";
import { turnedHead } from "../../kernels/rope.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { codeOf, codeRange, scaleAndZero, valueOf } from "../../kernels/codes/quantizer.ts";
import type { KvSchemes } from "../../stages/models/attend.ts";
import type { Model } from "../../stages/models/model.ts";
import { applyHadamard, hadamardFactor } from "../../stages/quant/hadamard.ts";
import { type Rope, ropeAngles } from "../../stages/models/rope.ts";
import type { InputScheme, LinearScheme } from "../../stages/quant/schemes.ts";
import { logitsOf } from "./forward_pass.ts";
import { choiceFault, HEAD, type MadeCodes, roundingFault, runningLinears } from "./made_codes.ts";

/** Rounds and dequantizes groups of values: the definition that integer kernels are held to. */
export function fakeQuantize(
  values: Float32Array,
  group: number,
  { bits, zero, range, clip = 1, fit, lowest }: {
    readonly bits: number;
    readonly zero: KvScheme["zero"];
    readonly range?: number | undefined;
    readonly clip?: number;
    /** Whether the share of the range is taken that errs least. */
    readonly fit?: boolean;
    /** The lowest code, where it is not that of the bits and the zero point. */
    readonly lowest?: number;
  },
): Float32Array {
  const [least, high] = codeRange({ bits, zero });
  const low = lowest ?? least;
  const codes = { low, high, zero, scale: "f16" } as const;
  const out = new Float32Array(values.length);
  for (let first = 0; first < values.length; first += group) {
    const part = values.subarray(first, first + group);
    const [min, max] = zero === "none"
      ? [0, range ?? Math.max(...part.map(Math.abs))]
      : [Math.min(...part), Math.max(...part)];
    let fewest = Infinity;
    for (const share of fit ? [1, 0.96, 0.92, 0.88, 0.84] : [1]) {
      const [from, to] = [share * clip * min!, share * clip * max!];
      const found = scaleAndZero({ min: from, max: to }, { ...codes, low: least });
      const made = part.map((x) =>
        valueOf(codeOf(x, found.scale, found.zero, codes), found.scale, found.zero, zero)
      );
      const error = made.reduce((sum, value, i) => sum + (value - part[i]!) ** 2, 0);
      if (!(error < fewest) && fewest < Infinity) continue;
      fewest = error;
      out.set(made, first);
    }
  }
  return out;
}

/** How groups of values are rounded, which `fakeQuantize` does by itself. */
type Round = typeof fakeQuantize;

/** Keys of heads under schemes, rotated back behind their codes and moved back by their center. */
export function fakeKeys(
  values: Float32Array,
  headSize: number,
  { keyCenter, ...schemes }: Omit<KvSchemes, "value">,
  round: Round = fakeQuantize,
): Float32Array {
  if (keyCenter) {
    const shared = (i: number) => keyCenter[i % keyCenter.length]!;
    const less = values.map((value, i) => value - shared(i));
    return fakeKeys(less, headSize, schemes, round).map((value, i) => value + shared(i));
  }
  const { key, rotatedKeys, keyCompensation } = schemes;
  if (!rotatedKeys && keyCompensation !== undefined) {
    return compensatedKeys(values, headSize, { key, text: keyCompensation });
  }
  if (!rotatedKeys) return round(values, key.group, key);
  const factor = hadamardFactor(headSize);
  const turned = Float32Array.from(values);
  applyHadamard(turned, factor);
  const rounded = keyCompensation === undefined
    ? round(turned, key.group, key).slice()
    : compensatedKeys(turned, headSize, { key, text: keyCompensation });
  applyHadamard(rounded, factor, { transposed: true });
  return rounded;
}

/** Keys of heads whose channels are rounded in turn, each with its shares of what those before it miss. */
function compensatedKeys(
  values: Float32Array,
  headSize: number,
  { key: { bits, zero, group }, text }: { readonly key: KvScheme; readonly text: string },
): Float32Array {
  const [low, high] = codeRange({ bits: bits as 4 | 8, zero });
  const codes = { low, high, zero, scale: "f16" } as const;
  const entries = new Float16Array(Uint8Array.fromBase64(text).buffer);
  const ofHead = headSize * (headSize - 1) / 2;
  const heads = entries.length / ofHead;
  const out = new Float32Array(values.length);
  for (let from = 0; from < values.length; from += headSize) {
    const own = values.subarray(from, from + headSize);
    const made = Array.from(own);
    let entry = from / headSize % heads * ofHead;
    own.forEach((value, i) => {
      const part = own.subarray(i - i % group, i - i % group + group);
      const found = scaleAndZero({ min: Math.min(...part), max: Math.max(...part) }, codes);
      const code = codeOf(made[i]!, found.scale, found.zero, codes);
      const is = valueOf(code, found.scale, found.zero, zero);
      for (let to = i + 1; to < headSize; to++) made[to]! += (value - is) * entries[entry++]!;
      out[from + i] = is;
    });
  }
  return out;
}

const fake: Kernel<"x", "y", { of(x: HostTensor): Float32Array }> = {
  wgsl: "",
  inputs: ["x"],
  outputs: ["y"],
  plan: ({ x }) => ({ outputs: { y: x }, constants: {}, params: {}, grid: [1, 1, 1] }),
  cpu: () => {
    throw new TypeError("Cannot run the fake on the CPU engine: it is for hosts");
  },
  reference: ({ x }, { of }) => ({ y: f32(x.shape, of(x)) }),
  cases: [],
};

/** How the keys of a layer turn. */
interface Turn {
  readonly rope: Rope;
  readonly neighbours: boolean;
}

/** Keys [tokens, kv heads, head size] turned back, rounded as they were before, and turned again. */
function stillKeys(
  values: Float32Array,
  [tokens = 0, kvHeads = 0, headSize = 0]: readonly number[],
  { turn: { rope, neighbours }, round }: {
    readonly turn: Turn;
    readonly round: (still: Float32Array) => Float32Array;
  },
): Float32Array {
  const { data, shape: [, channels = 0] } = ropeAngles(rope, tokens);
  const turned = turnedHead(neighbours);
  const byHead = (all: Float32Array, back: boolean) => {
    const out = new Float32Array(all.length);
    for (let head = 0; head < tokens * kvHeads; head++) {
      const place = Math.floor(head / kvHeads) * channels;
      const angles = data.subarray(place, place + channels) as Float32Array;
      // The tables of some scalings are longer than 1.
      const size = angles[0]! ** 2 + angles[channels / 2]! ** 2;
      const other = angles.map((value, i) => (i < channels / 2 ? value : -value) / size);
      const given = all.subarray(head * headSize, (head + 1) * headSize);
      out.set(turned(given, back ? other : angles), head * headSize);
    }
    return out;
  };
  return byHead(round(byHead(values, true)), false);
}

/** Where a model is at work: what it runs now is rounded as said. */
interface Work {
  readonly layer: number;
  readonly kv: KvSchemes | undefined;
  readonly turn?: Turn;
  readonly linear?: { readonly place: string; readonly scheme: LinearScheme | undefined };
}

/** A host device that rounds the inputs of linears, and keys and values, before it computes in floats. */
class FakeQuantizing extends ReferenceDevice {
  work: Work | undefined;
  /** What is wrong with the codes of the other model. */
  readonly faults: string[] = [];
  readonly #made: MadeCodes;
  #routed = 0;

  constructor(made: MadeCodes) {
    super();
    this.#made = made;
  }

  override run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const given = inputs as Record<string, Tensor>;
    const round = (x: Tensor, of: (x: HostTensor) => Float32Array) =>
      super.run(fake, { x }, { of }).y;
    const name: unknown = kernel;
    const { layer = 0, kv, linear } = this.work ?? {};
    const grouped = name === matmul ? linear?.scheme?.inputs : undefined;
    if (grouped?.group !== undefined) {
      const made = this.#made.inputs.get(`${layer} ${linear!.place}`)!;
      using x = round(given.x!, ({ data, shape }) => {
        this.#tellGroups(made, data as Float32Array, shape[1]!, grouped);
        return made;
      });
      return super.run(kernel, { ...inputs, x } as never, options);
    }
    if (name === matmul && linear?.scheme?.inputs) {
      const { range, bits, clip = 1 } = linear.scheme.inputs;
      using x = round(given.x!, ({ data, shape }) => {
        const row = shape[1]!;
        return this.#roundingTo(this.#made.inputs.get(`${layer} ${linear.place}`), row)(
          data as Float32Array,
          row,
          {
            bits,
            zero: "none",
            clip,
            lowest: bits === 4 ? -8 : -127,
            ...range !== "dynamic" && { range },
          },
        );
      });
      return super.run(kernel, { ...inputs, x } as never, options);
    }
    if (name === attention && kv) {
      const row = given.k!.shape[1]! * given.k!.shape[2]!;
      using k = round(
        given.k!,
        ({ data, shape }) =>
          kv.keysBeforeRope
            ? stillKeys(data as Float32Array, shape, {
              turn: this.work!.turn!,
              round: (still) =>
                this.#roundingTo(this.#made.keys[layer], row)(still, kv.key.group, kv.key),
            })
            : fakeKeys(
              data as Float32Array,
              shape[2]!,
              kv,
              this.#roundingTo(this.#made.keys[layer], row),
            ),
      );
      using v = round(
        given.v!,
        ({ data }) =>
          this.#roundingTo(this.#made.values[layer], row)(
            data as Float32Array,
            kv.value.group,
            kv.value,
          ),
      );
      return super.run(kernel, { ...inputs, k, v } as never, options);
    }
    if (name === routeTokens) {
      const experts = this.#made.experts[this.#routed++]!;
      const tell = (fault: string | undefined) => this.#tell("experts", fault);
      return super.run(routedTo(experts, tell) as unknown as typeof kernel, inputs, options);
    }
    return super.run(kernel, inputs, options);
  }

  /** Rounding that gives what another model made of the same values, which must be as good. */
  #roundingTo(made: Float32Array | undefined, row: number): Round {
    assert.ok(made, "the other model rounded nothing here");
    return (values, group, { bits, zero, range, clip, lowest }) => {
      const [least, high] = codeRange({ bits, zero });
      const quantizer = { low: lowest ?? least, high, zero, scale: "f16" } as const;
      const { linear } = this.work!;
      const what = linear ? `inputs of ${linear.place}` : "keys or values";
      this.#tell(what, roundingFault(made, values, { group, row, quantizer, clip, range }));
      return made;
    };
  }

  /** Tells what is wrong with groups of inputs, of which the last may have more bits. */
  #tellGroups(
    made: Float32Array,
    values: Float32Array,
    columns: number,
    { bits, clip = 1, group = columns, outlier_bits: outlierBits }: InputScheme,
  ): void {
    const what = `groups of ${this.work!.linear!.place}`;
    const outliers = outlierBits === undefined ? 0 : group;
    for (let start = 0; start < values.length; start += columns) {
      const [split, end] = [start + columns - outliers, start + columns];
      const fault = (from: number, to: number, own: number, clip: number) => {
        const low = own === 4 ? -8 : -127;
        const quantizer = { low, high: own === 4 ? 7 : 127, zero: "none", scale: "f16" } as const;
        const [given, exact] = [made.subarray(from, to), values.subarray(from, to)];
        return roundingFault(given, exact, { group, row: to - from, quantizer, clip });
      };
      if (split > start) this.#tell(what, fault(start, split, bits, clip));
      if (outliers > 0) this.#tell(what, fault(split, end, 8, 1));
    }
  }

  #tell(what: string, fault: string | undefined): void {
    if (fault !== undefined) this.faults.push(`layer ${this.work?.layer}, ${what}: ${fault}`);
  }
}

/** Routing by the same scores to experts that another model chose, which must be as good. */
function routedTo(
  experts: Uint32Array,
  tell: (fault: string | undefined) => void,
): typeof routeTokens {
  return {
    ...routeTokens,
    reference({ scores }, options) {
      tell(choiceFault(experts, scores, options));
      const { experts: count, chosen, normalized } = options;
      const [tokens = 0, columns = 0] = scores.shape;
      const weights = new Float32Array(tokens * chosen);
      for (let token = 0; token < tokens; token++) {
        const own = Array.from(scores.data.subarray(token * columns, token * columns + count));
        const most = Math.max(...own);
        const parts = own.map((score) => Math.exp(score - most));
        const names = [...experts.subarray(token * chosen, (token + 1) * chosen)];
        const all = (normalized ? names.map((name) => parts[name]!) : parts)
          .reduce((sum, part) => sum + part);
        weights.set(names.map((name) => parts[name]! / all), token * chosen);
      }
      return {
        weights: f32([tokens, chosen], weights),
        experts: u32([tokens, chosen], experts),
      };
    },
  };
}

/**
 * Logits of a model whose weights are floats again, with inputs and KV cache rounded as `precision`
 * says: the oracle for what the packed codes compute on the integer kernels. Where a value lies so near
 * to the border between two codes that the order of a sum decides, one code more or less is an error far
 * above that of arithmetic; so codes, and choices of experts, are those that the packed model made, each
 * of which is asserted to be right.
 */
export async function fakeLogits(
  open: (device: ReferenceDevice) => Promise<Model>,
  precision: {
    readonly linears: Readonly<Record<string, LinearScheme>>;
    readonly kv: readonly KvSchemes[];
  },
  { ids, made }: { readonly ids: readonly number[]; readonly made: MadeCodes },
): Promise<Float32Array> {
  await using device = new FakeQuantizing(made);
  using model = await open(device);
  const load = model.layer.bind(model);
  model.layer = async (at) => {
    const layer = await load(at);
    const { ropes, ropeOf, neighbours } = model.config;
    const turn = { rope: ropes[ropeOf[at]!]!, neighbours };
    const work = { layer: at, kv: precision.kv[at], turn };
    device.work = work;
    const running = runningLinears(layer, model.architecture.layers[at]!);
    for (const { place, linear, first } of running) {
      const apply = linear.apply.bind(linear);
      linear.apply = (_, ...given) => {
        device.work = { ...work, linear: { place, scheme: precision.linears[first.name] } };
        const y = apply(device, ...given);
        device.work = work;
        return y;
      };
    }
    return layer;
  };
  const headOf = model.head.bind(model);
  model.head = async () => {
    const head = await headOf();
    const apply = head.apply.bind(head);
    head.apply = (_, x) => {
      const scheme = precision.linears[model.architecture.head.linears[0].name];
      device.work = { layer: model.config.layers, kv: undefined, linear: { place: HEAD, scheme } };
      const y = apply(device, x);
      device.work = undefined;
      return y;
    };
    return head;
  };
  const logits = await logitsOf(device, model, ids);
  assert.deepEqual(device.faults, []);
  return logits;
}
