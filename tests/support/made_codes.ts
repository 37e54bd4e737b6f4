import { strict as assert } from "node:assert";
import { pageWords, readSlot } from "../../kernels/codes/kv_page.ts";
import type { KvScheme } from "../../kernels/codes/kv_scheme.ts";
import { codeOf, type Quantizer, scaleAndZero, valueOf } from "../../kernels/codes/quantizer.ts";
import type { Device, HostTensor, Tensor, TensorRef } from "../../kernels/device/device.ts";
import {
  appendKv,
  gluQuantize,
  normQuantize,
  quantizeGroups,
  quantizeRows,
  routeTokens,
} from "../../kernels/mod.ts";
import type { LayerOutline } from "../../stages/models/family.ts";
import { DecoderLayer } from "../../stages/models/families/decoder_layer.ts";
import type { Model } from "../../stages/models/model.ts";
import type { SiteInput } from "../../stages/models/site_input.ts";
import type { LayerLinear } from "../../stages/models/site.ts";
import { logitsOf } from "./forward_pass.ts";

/** Values that codes stand for, and choices of experts, as a model made them, in the order of its layers. */
export interface MadeCodes {
  /** Inputs of linears: for each launch of linears, by layer and site. */
  readonly inputs: ReadonlyMap<string, Float32Array>;
  /** Keys and values [tokens, kv heads, head size] of each layer, in the form that pages hold. */
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
  /** Experts u32 [tokens, chosen] of each layer that has some. */
  readonly experts: readonly Uint32Array[];
}

/** Where the head stands: behind all layers. */
export const HEAD = "head";

/** Linears that run as one. */
export interface RunningLinear {
  apply(device: Device, input: SiteInput, ...more: never[]): Tensor;
}

/** Linears of a layer that run as one, where they stand, and the first of them. */
export function runningLinears(
  layer: unknown,
  { sites }: LayerOutline,
): { readonly place: string; readonly linear: RunningLinear; readonly first: LayerLinear }[] {
  assert.ok(layer instanceof DecoderLayer);
  const { experts, linears: own } = layer;
  // One expert's sites stand for those of all, whose linears run together under one scheme.
  return sites.filter(({ expert = 0 }) => expert === 0).flatMap(({ role, linears }) => {
    const by = ({ expert }: LayerLinear) => expert === undefined ? "shared" : "chosen";
    return [...Map.groupBy(linears, by)].map(([which, [first]]) => {
      const side = role === "mlp.in" ? "into" : "outOf";
      const linear = experts && role.startsWith("mlp") ? experts[which]![side] : own[role];
      return { place: `${role} ${which}`, linear: linear as RunningLinear, first: first! };
    });
  });
}

/** Kernels whose outputs are codes or choices. */
const ROUNDING: readonly unknown[] = [
  quantizeRows,
  quantizeGroups,
  normQuantize,
  gluQuantize,
  routeTokens,
];

/** Logits of a packed model, and what it rounded on the way. */
export async function packedLogits(
  device: Device,
  model: Model,
  ids: readonly number[],
): Promise<{ readonly logits: Float32Array; readonly made: MadeCodes }> {
  const ends: (() => void)[] = [];
  // What is read behind the pass must outlive those who think it is theirs.
  const keep = (tensor: Tensor): Tensor => {
    ends.push(tensor[Symbol.dispose].bind(tensor));
    return Object.assign(tensor, { [Symbol.dispose]() {} });
  };
  const later: (() => Promise<void>)[] = [];
  const inputs = new Map<string, Float32Array>();
  const pages: Record<"keys" | "values", Float32Array[]> = { keys: [], values: [] };
  const experts: Uint32Array[] = [];
  const keepInputs = (place: string, codes: TensorRef, rows: TensorRef) =>
    later.push(async () => {
      const found = await Promise.all([device.read(codes), device.read(rows)]);
      inputs.set(place, valuesOf(...found));
    });
  let heading = false;
  const watched: Device = new Proxy(device, {
    get(target, name) {
      if (name === "run") return run;
      // `using` takes a tensor's end when it begins, so pages are kept as they are made.
      if (name === "empty") {
        return (...spec: Parameters<Device["empty"]>) => keep(device.empty(...spec));
      }
      const found: unknown = Reflect.get(target, name);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
  const run: Device["run"] = (kernel, given, options) => {
    const found = device.run(kernel, given, options);
    const which: unknown = kernel;
    if (ROUNDING.includes(which)) Object.values<Tensor>(found).forEach(keep);
    if (which === quantizeRows && heading) {
      const { codes, rows } = found as Record<string, Tensor>;
      keepInputs(`${model.config.layers} ${HEAD}`, codes!, rows!);
    }
    if (which === routeTokens) {
      const chosen = (found as Record<string, Tensor>).experts!;
      later.push(async () => void experts.push((await device.read(chosen)).data as Uint32Array));
    }
    if (which === appendKv) {
      const { k, ...pools } = given as Record<string, TensorRef>;
      const schemes = options as { readonly key: KvScheme; readonly value: KvScheme };
      for (const [name, scheme] of [["keys", schemes.key], ["values", schemes.value]] as const) {
        const pool = pools[name]!;
        later.push(async () => void pages[name].push(held(await device.read(pool), k!, scheme)));
      }
    }
    return found;
  };
  const load = model.layer.bind(model);
  model.layer = async (at) => {
    const layer = await load(at);
    for (const { place, linear } of runningLinears(layer, model.architecture.layers[at]!)) {
      const apply = linear.apply.bind(linear);
      linear.apply = (on, input, ...more) => {
        if (input.quantized) {
          const { codes, scales } = input.quantized;
          keepInputs(`${at} ${place}`, codes, scales);
        }
        return apply(on, input, ...more);
      };
    }
    return layer;
  };
  const openHead = model.head.bind(model);
  model.head = async () => {
    const head = await openHead();
    const apply = head.apply.bind(head);
    head.apply = (on, x) => {
      heading = true;
      const logits = apply(on, x);
      heading = false;
      return logits;
    };
    return head;
  };
  try {
    const logits = await logitsOf(watched, model, ids);
    for (const read of later) await read();
    return { logits, made: { inputs, ...pages, experts } };
  } finally {
    model.layer = load;
    model.head = openHead;
    for (const end of ends) end();
  }
}

/** What codes a byte each stand for under the scales of their rows or groups. */
function valuesOf(codes: HostTensor, rows: HostTensor): Float32Array {
  const signed = new Int8Array((codes.data as Uint32Array).slice().buffer);
  const group = signed.length / (rows.data.length / 2);
  return Float32Array.from(
    signed,
    (code, i) => valueOf(code, rows.data[2 * Math.floor(i / group)]!, 0, "none"),
  );
}

/** What pages hold of tokens that lie in them in order. */
function held(pool: HostTensor, { shape }: TensorRef, scheme: KvScheme): Float32Array {
  const [tokens = 0, kvHeads = 0, headSize = 0] = shape;
  assert.equal(pool.shape[1], pageWords(scheme, kvHeads, headSize));
  const values = new Float32Array(tokens * kvHeads * headSize);
  for (let token = 0; token < tokens; token++) {
    const slot = readSlot(pool.data, token, { scheme, kvHeads, headSize });
    values.set(slot, token * slot.length);
  }
  return values;
}

/**
 * What another order of sums may change in a value, of the largest in its row: in single precision, 2^-24
 * a sum, behind two layers of some hundred.
 */
const HAIR = 2e-5;

/**
 * What is wrong with values given as groups of others rounded by a scheme, where each of those may be another
 * by a hair: next to the border between two codes either is right, and next to that between two scales either.
 */
export function roundingFault(
  given: Float32Array,
  values: Float32Array,
  { group, row, quantizer, clip = 1, range }: {
    readonly group: number;
    /** Values by whose largest a hair is measured; some groups. */
    readonly row: number;
    readonly quantizer: Quantizer;
    readonly clip?: number | undefined;
    readonly range?: number | undefined;
  },
): string | undefined {
  assert.equal(given.length, values.length);
  for (let start = 0; start < values.length; start += row) {
    const all = values.subarray(start, start + row);
    const hair = HAIR * all.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    for (let first = start; first < start + row; first += group) {
      const part = values.subarray(first, first + group);
      const codes = given.subarray(first, first + group);
      const can = scales(part, codes, { quantizer, clip, range, hair }).some(({ scale, zero }) =>
        part.every((x, i) =>
          [x, x - hair, x + hair].some((near) => {
            const code = codeOf(Math.fround(near), scale, zero, quantizer);
            return valueOf(code, scale, zero, quantizer.zero) === codes[i];
          })
        )
      );
      if (!can) return `from ${first} on ${[...part]} are rounded to ${[...codes]}`;
    }
  }
  return undefined;
}

/** Scales and zero points that a group may have got, of which codes stand for such values. */
function scales(
  part: Float32Array,
  codes: Float32Array,
  { quantizer, clip, range, hair }: {
    readonly quantizer: Quantizer;
    readonly clip: number;
    readonly range: number | undefined;
    readonly hair: number;
  },
) {
  const near = [0, -hair, hair];
  // Codes that reach further down have the scale of those that do not.
  const even = quantizer.zero === "none" ? { ...quantizer, low: -quantizer.high } : quantizer;
  const of = (min: number, max: number) =>
    scaleAndZero({ min: Math.fround(clip * min), max: Math.fround(clip * max) }, even);
  if (quantizer.zero === "none") {
    const most = range ?? part.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    return (range === undefined ? near : [0]).map((by) => of(0, Math.fround(most + by)));
  }
  const [min, max] = [Math.min(...part), Math.max(...part)];
  const found = near.flatMap((low) =>
    near.map((high) => of(Math.fround(min + low), Math.fround(max + high)))
  );
  if (quantizer.zero !== "post_scale") return found;
  // The lowest code stands for the zero point alone, which has steps as small as itself.
  const zero = -codes.reduce((least, code) => Math.min(least, code));
  const zeros = found.map((one) => one.zero);
  const between = Math.min(...zeros) <= zero && zero <= Math.max(...zeros);
  return between ? [...found, ...found.map(({ scale }) => ({ scale, zero }))] : found;
}

/** What is wrong with experts [tokens, chosen] as those of the largest scores [tokens, columns], up to a hair. */
export function choiceFault(
  given: Uint32Array,
  scores: HostTensor,
  { experts, chosen }: { readonly experts: number; readonly chosen: number },
): string | undefined {
  const [tokens = 0, columns = 0] = scores.shape;
  for (let token = 0; token < tokens; token++) {
    const own = [...scores.data.subarray(token * columns, token * columns + experts)];
    const hair = HAIR * own.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const names = [...given.subarray(token * chosen, (token + 1) * chosen)];
    assert.equal(new Set(names).size, chosen);
    const sorted = own.toSorted((a, b) => b - a);
    const far = names.findIndex((name, i) => Math.abs(own[name]! - sorted[i]!) > 2 * hair);
    if (far >= 0) return `expert ${names[far]} of token ${token} is not in place ${far} of ${own}`;
  }
  return undefined;
}
