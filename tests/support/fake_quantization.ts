import { strict as assert } from "node:assert";
import type { Device, HostTensor, Inputs, Tensor } from "../../kernels/device/device.ts";
import type { Kernel } from "../../kernels/device/kernel.ts";
import { ReferenceDevice } from "../../kernels/device/reference.ts";
import { f32 } from "../../kernels/device/tensor.ts";
import { attention, matmul } from "../../kernels/mod.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { codeOf, codeRange, scaleAndZero, valueOf } from "../../kernels/codes/quantizer.ts";
import type { KvSchemes } from "../../stages/models/attend.ts";
import type { Model } from "../../stages/models/model.ts";
import { DecoderLayer } from "../../stages/models/families/decoder_layer.ts";
import { applyHadamard, hadamardFactor } from "../../stages/quant/hadamard.ts";
import type { LinearScheme } from "../../stages/quant/schemes.ts";
import { logitsOf } from "./forward_pass.ts";

/** Rounds and dequantizes groups of values: the definition that integer kernels are held to. */
export function fakeQuantize(
  values: Float32Array,
  group: number,
  { bits, zero, range, clip = 1, lowest }: {
    readonly bits: number;
    readonly zero: KvScheme["zero"];
    readonly range?: number | undefined;
    readonly clip?: number;
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
    const found = scaleAndZero({ min: clip * min!, max: clip * max! }, codes);
    part.forEach((x, i) => {
      const code = codeOf(x, found.scale, found.zero, codes);
      out[first + i] = valueOf(code, found.scale, found.zero, zero);
    });
  }
  return out;
}

/** Keys of heads under schemes, rotated back behind their codes and moved back by their center. */
export function fakeKeys(
  values: Float32Array,
  headSize: number,
  { keyCenter, ...schemes }: Omit<KvSchemes, "value">,
): Float32Array {
  if (keyCenter) {
    const shared = (i: number) => keyCenter[i % keyCenter.length]!;
    const less = values.map((value, i) => value - shared(i));
    return fakeKeys(less, headSize, schemes).map((value, i) => value + shared(i));
  }
  const { key, rotatedKeys } = schemes;
  if (!rotatedKeys) return fakeQuantize(values, key.group, key);
  const factor = hadamardFactor(headSize);
  const turned = Float32Array.from(values);
  applyHadamard(turned, factor);
  const rounded = fakeQuantize(turned, key.group, key);
  applyHadamard(rounded, factor, { transposed: true });
  return rounded;
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

/** A host device that rounds the inputs of linears, and keys and values, before it computes in floats. */
class FakeQuantizing extends ReferenceDevice {
  linear: LinearScheme | undefined;
  kv: KvSchemes | undefined;

  override run<In extends string, Out extends string, Options, Mut extends In, Opt extends In>(
    kernel: Kernel<In, Out, Options, Mut, Opt>,
    inputs: Inputs<In, Opt>,
    options: Options,
  ): Record<Out, Tensor> {
    const given = inputs as Record<string, Tensor>;
    const round = (x: Tensor, of: (x: HostTensor) => Float32Array) =>
      super.run(fake, { x }, { of }).y;
    const name: unknown = kernel;
    if (name === matmul && this.linear?.inputs) {
      const { range, bits, clip = 1 } = this.linear.inputs;
      using x = round(given.x!, ({ data, shape }) =>
        fakeQuantize(data as Float32Array, shape[1]!, {
          bits,
          zero: "none",
          clip,
          lowest: bits === 4 ? -8 : -127,
          range: range === "dynamic" ? undefined : range,
        }));
      return super.run(kernel, { ...inputs, x } as never, options);
    }
    if (name === attention && this.kv) {
      const { value } = this.kv;
      const schemes = this.kv;
      using k = round(
        given.k!,
        ({ data, shape }) => fakeKeys(data as Float32Array, shape[2]!, schemes),
      );
      using v = round(
        given.v!,
        ({ data }) => fakeQuantize(data as Float32Array, value.group, value),
      );
      return super.run(kernel, { ...inputs, k, v } as never, options);
    }
    return super.run(kernel, inputs, options);
  }
}

/** What runs linears. */
interface Applied {
  // deno-lint-ignore no-explicit-any -- of experts, whose rows are whose is said too
  apply(device: Device, ...given: any[]): Tensor;
}

/**
 * Logits of a model whose weights are floats again, with inputs and KV cache rounded as `precision`
 * says: the oracle for what the packed codes compute on the integer kernels.
 */
export async function fakeLogits(
  open: (device: ReferenceDevice) => Promise<Model>,
  precision: {
    readonly linears: Readonly<Record<string, LinearScheme>>;
    readonly kv: readonly KvSchemes[];
  },
  ids: readonly number[],
): Promise<Float32Array> {
  await using device = new FakeQuantizing();
  using model = await open(device);
  const load = model.layer.bind(model);
  model.layer = async (at) => {
    const layer = await load(at);
    assert.ok(layer instanceof DecoderLayer);
    device.kv = precision.kv[at];
    for (const { role, linears, expert } of model.architecture.layers[at]!.sites) {
      const { experts } = layer;
      const by = (linear: typeof linears[number]) =>
        linear.expert === undefined ? "shared" : "chosen";
      // Those that a router chooses from run together, under one scheme.
      for (const [which, [first]] of Map.groupBy(linears, by)) {
        const side = role === "mlp.in" ? "into" : "outOf";
        const linear: Applied = experts && role.startsWith("mlp")
          ? experts[which]![side]
          : layer.linears[role];
        if (expert) continue;
        const apply = linear.apply.bind(linear);
        linear.apply = (_, ...given) => {
          device.linear = precision.linears[first!.name];
          const y = apply(device, ...given);
          device.linear = undefined;
          return y;
        };
      }
    }
    return layer;
  };
  const headOf = model.head.bind(model);
  model.head = async () => {
    const head = await headOf();
    const apply = head.apply.bind(head);
    head.apply = (_, x) => {
      device.linear = precision.linears[model.architecture.head.linears[0].name];
      const y = apply(device, x);
      device.linear = undefined;
      return y;
    };
    return head;
  };
  return await logitsOf(device, model, ids);
}
