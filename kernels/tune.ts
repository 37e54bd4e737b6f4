import type { Gpu } from "./device/gpu.ts";
import type { AnyKernel } from "./device/kernel.ts";
import type { Choices, Limits } from "./device/limits.ts";
import {
  elements,
  f32,
  type HostTensor,
  type Tensor,
  type TensorSpec,
  u32,
} from "./device/tensor.ts";
import { attentionPaged, matmulInt8, normQuantize } from "./mod.ts";

/** A choice and what there is to choose from; the first is what is taken unless another is quicker. */
interface Question<K extends keyof Choices = keyof Choices> {
  readonly choice: K;
  readonly values: readonly Choices[K][];
  readonly kernel: AnyKernel;
  /** The timed case of the kernel that is measured. */
  readonly case: (inputs: Readonly<Record<string, TensorSpec>>) => boolean;
}

/** How long a launch took under one of the choices, and all bytes that the first one made and wrote. */
export interface Trial {
  readonly milliseconds: number;
  readonly made: Uint8Array;
}

/** Runs a question's case under some choices once; throws where a driver refuses the plan. */
export type Measure = (question: Question, choices: Choices) => Promise<Trial>;

/** Time for all questions, in milliseconds. */
const BUDGET = 2000;
const ROUNDS = 5;
/** Launches between two looks at the clock, and the milliseconds that they should fill. */
const MOST_REPEATS = 20;
const FILLED = 20;
/** What another plan must gain before it takes the first one's place: less is noise. */
const GAIN = 0.95;

/** What is asked of an adapter, the most important first: decode, then prefill, then long contexts. */
export const QUESTIONS: readonly Question[] = [
  {
    choice: "subgroups",
    values: [false, true],
    kernel: matmulInt8,
    case: ({ x, groups }) => x!.shape[0] === 1 && groups !== undefined,
  },
  {
    choice: "rowSubgroups",
    values: [false, true],
    kernel: normQuantize,
    case: () => true,
  },
  {
    choice: "keySubgroups",
    values: [false, true],
    kernel: attentionPaged,
    case: ({ q }) => q!.shape[0] === 1,
  },
  {
    choice: "integerTile",
    values: [64, 128, 32],
    kernel: matmulInt8,
    case: ({ x, groups }) => x!.shape[0] === 512 && groups !== undefined,
  },
  {
    choice: "slices",
    values: [undefined, false],
    kernel: attentionPaged,
    case: ({ q }) => q!.shape[0] === 1,
  },
];

/**
 * Finds the quickest plans of an adapter, by the least of several turns of all values of a question. What
 * fails or makes other bits than the first is never taken, nor what the time did not reach. \`now\` is a clock
 * in milliseconds.
 */
export async function tune(
  limits: Limits,
  { measure, now = () => performance.now(), budget = BUDGET, questions = QUESTIONS }: {
    readonly measure: Measure;
    readonly now?: () => number;
    readonly budget?: number;
    readonly questions?: readonly Question[];
  },
): Promise<Choices> {
  const end = now() + budget;
  let choices: Choices = {};
  for (const question of questions) {
    const values = question.values.filter((value) => changesPlan(question, limits, value));
    const [first, ...others] = [question.values[0], ...values];
    if (others.length === 0 || now() >= end) continue;
    const under = (value: Choices[keyof Choices]) => ({ ...choices, [question.choice]: value });
    // Compiles, and tells whose bits are those of the first.
    const { made } = await measure(question, under(first));
    const equal = [first];
    for (const value of others) {
      if (now() >= end) break;
      const other = await measure(question, under(value)).catch(() => undefined);
      if (other && sameBytes(other.made, made)) equal.push(value);
    }
    const least = equal.map(() => Infinity);
    for (let round = 0; round < ROUNDS && now() < end; round++) {
      for (const [at, value] of equal.entries()) {
        const { milliseconds } = await measure(question, under(value));
        least[at] = Math.min(least[at]!, milliseconds);
      }
    }
    const best = least.indexOf(Math.min(...least));
    if (best > 0 && least[best]! < GAIN * least[0]!) choices = under(equal[best]);
  }
  return choices;
}

/**
 * Measures on devices that are opened for it: a plan that a driver refuses, or that ends a device, takes
 * nothing with it. The last one is closed with \`end()\`.
 */
export function measureApart(
  open: () => Promise<Gpu>,
): { readonly measure: Measure; end(): Promise<void> } {
  let gpu: Gpu | undefined;
  const hosts = new Map<Question, Hosts>();
  const end = async () => {
    const last = gpu;
    gpu = undefined;
    // What it held goes with it.
    await last?.[Symbol.asyncDispose]().catch(() => {});
  };
  return {
    end,
    async measure(question, choices) {
      gpu ??= await open();
      try {
        return await measureOn(gpu, hosts)(question, choices);
      } catch (error) {
        await end();
        throw error;
      }
    },
  };
}

/** What questions' cases are given, made once: that takes longer than launches. */
type Hosts = Readonly<Record<string, HostTensor>>;

/** Measures on a device, by launches of its own under other choices. */
export function measureOn(gpu: Gpu, hosts = new Map<Question, Hosts>()): Measure {
  return async (question, choices) => {
    const inputs = hosts.get(question) ?? hostsOf(question);
    hosts.set(question, inputs);
    using launches = launchesOf(gpu, question, { choices, inputs });
    const made = await launches.first();
    using fence = gpu.upload(u32([1]));
    const timed = async (repeats: number) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) launches.run()[Symbol.dispose]();
      await gpu.read(fence);
      return (performance.now() - start) / repeats;
    };
    const once = await timed(1);
    const repeats = Math.min(MOST_REPEATS, Math.ceil(FILLED / once));
    return { milliseconds: repeats > 1 ? await timed(repeats) : once, made };
  };
}

/** Gives all bytes that one launch of a question's case makes and writes under some choices. */
export async function bytesOfPlan(
  gpu: Gpu,
  question: Question,
  choices: Choices,
): Promise<Uint8Array> {
  using launches = launchesOf(gpu, question, { choices, inputs: hostsOf(question) });
  return await launches.first();
}

/** Launches of a question's case under some choices, on tensors of their own. */
function launchesOf(
  gpu: Gpu,
  { kernel, case: wanted }: Question,
  { choices, inputs }: { readonly choices: Choices; readonly inputs: Hosts },
) {
  const { options } = caseOf(kernel, wanted);
  const stack = new DisposableStack();
  const given: Readonly<Record<string, Tensor>> = Object.fromEntries(
    Object.entries(inputs).map(([name, host]) => [name, stack.use(gpu.upload(host))]),
  );
  const planned = withChoices(kernel, choices);
  /** Launches once more, and gives what that made. */
  const run = () => {
    const tensors = Object.values<Tensor>(gpu.run(planned, given, options));
    return { tensors, [Symbol.dispose]: () => tensors.forEach((one) => one[Symbol.dispose]()) };
  };
  return {
    run,
    /**
     * All bytes that a launch makes and writes: to be called before any other, for one that adds to what
     * it finds makes other bits each time.
     */
    async first() {
      using made = run();
      const written: Tensor[] = (kernel.mutates ?? []).flatMap((name: string) => given[name] ?? []);
      const parts: Uint8Array[] = [];
      for (const tensor of [...written, ...made.tensors]) {
        const { data: { buffer, byteOffset, byteLength } } = await gpu.read(tensor);
        parts.push(new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
      }
      return joined(parts);
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((bytes, { length }) => bytes + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Shaders belong to a kernel object: one for every set of choices, so that each is compiled once. */
const PLANNED = new Map<AnyKernel, Map<string, AnyKernel>>();

function withChoices(kernel: AnyKernel, choices: Choices): AnyKernel {
  const plans = PLANNED.get(kernel) ?? new Map<string, AnyKernel>();
  PLANNED.set(kernel, plans);
  const key = JSON.stringify(choices);
  const found = plans.get(key) ?? {
    ...kernel,
    plan: (inputs: never, options: never, limits: Limits) =>
      kernel.plan(inputs, options, { ...limits, choices }),
  };
  plans.set(key, found);
  return found;
}

function caseOf(kernel: AnyKernel, wanted: Question["case"]) {
  const found = kernel.cases.find(({ inputs, cost }) => cost && wanted(inputs as never));
  if (!found) {
    throw new TypeError("Cannot tune: a kernel has no such case, expected one that is timed");
  }
  return found as {
    readonly inputs: Readonly<Record<string, TensorSpec | HostTensor>>;
    readonly options: unknown;
  };
}

/** Whether a value leads to another plan than the first. */
export function changesPlan(
  { kernel, case: wanted, choice, values: [first] }: Question,
  limits: Limits,
  value: unknown,
): boolean {
  const { inputs, options } = caseOf(kernel, wanted);
  const plan = (value: unknown) =>
    JSON.stringify(kernel.plan(inputs, options, { ...limits, choices: { [choice]: value } }));
  return plan(value) !== plan(first);
}

function hostsOf({ kernel, case: wanted }: Question): Hosts {
  const { inputs } = caseOf(kernel, wanted);
  return Object.fromEntries(Object.entries(inputs).map(([name, spec]) => [name, hostOf(spec)]));
}

/** Values that differ, from -1 to 1, or words. */
function hostOf(spec: TensorSpec | HostTensor): HostTensor {
  if ("data" in spec) return spec;
  const { dtype, shape } = spec;
  const count = elements(shape);
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  if (dtype !== "f32") return u32(shape, words);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = words[i]! / 2 ** 31 - 1;
  return f32(shape, values);
}

/** Whether two made the same bits. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
