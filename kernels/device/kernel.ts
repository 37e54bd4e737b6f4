import type { Limits } from "./limits.ts";
import type { DType, HostTensor, TensorSpec } from "./tensor.ts";

/** A number in `struct Params`. */
export type Param = { readonly u32: number } | { readonly f32: number };

/** Whole numbers in `struct Params`. */
export function counts<K extends string>(values: Readonly<Record<K, number>>): Record<K, Param> {
  const params = Object.entries<number>(values).map(([name, u32]) => [name, { u32 }]);
  return Object.fromEntries(params) as Record<K, Param>;
}

/** One launch of a kernel, decided from shapes and limits alone. */
export interface Launch<Out extends string> {
  readonly outputs: Readonly<Record<Out, TensorSpec>>;
  /** Put before the source as `const` or `alias`; each distinct set is one pipeline. */
  readonly constants: Readonly<Record<string, number | boolean | DType | "vec4u">>;
  /** The fields of `struct Params`, in order; may differ on every launch. */
  readonly params: Readonly<Record<string, Param>>;
  readonly grid: readonly [x: number, y: number, z: number];
  /** Which of the kernel's shaders runs, when it has several. */
  readonly shader?: string;
  /** Loop turns that an invocation takes at most, where sizes without bound decide it. */
  readonly turns?: number;
  /**
   * Another of its shaders, which runs behind the first with the same constants, params and bindings;
   * both have `scratch` bound behind the params, where the first leaves something to it.
   */
  readonly then?: { readonly shader: string; readonly grid: Launch<string>["grid"] };
  readonly scratch?: TensorSpec;
  /** Whether its shader's threads talk to those of their subgroup. */
  readonly subgroups?: true;
}

/** One launch of a kernel on the CPU engine. */
export interface CpuLaunch {
  /** The function of `kernels/assembly/index.ts` that works at a task. */
  readonly program: string;
  readonly tasks: number;
  /** Fields of its `Args` behind the tensors, in order. */
  readonly args: Readonly<Record<string, Param>>;
}

/** Specs by input name; the optional ones may be left out. */
export type Specs<In extends string, Opt extends In, T = TensorSpec> =
  & Readonly<Record<Exclude<In, Opt>, T>>
  & Readonly<Partial<Record<Opt, T>>>;

/** Inputs on which the GPU must agree with the reference. */
export interface KernelCase<In extends string, Options, Opt extends In = never> {
  readonly inputs: Specs<In, Opt, TensorSpec | HostTensor>;
  readonly options: Options;
  /** Largest normalized mean squared error, 1e-6 unless said; 0 asks for equal bits. */
  readonly tolerance?: number;
  /** Set on sizes worth timing; turns seconds into GB/s and GFLOP/s. */
  readonly cost?: { readonly bytes: number; readonly flops: number };
  /**
   * Timed but not compared, where the reference takes seconds; only where a smaller case that is
   * compared runs the same shader with the same constants.
   */
  readonly timedOnly?: true;
}

/** A WGSL file and its meaning. Makes no GPU calls. */
export interface Kernel<
  In extends string,
  Out extends string,
  Options,
  Mut extends In = never,
  Opt extends In = never,
> {
  /** The source, or several by name when sizes want different programs; all share the bindings. */
  readonly wgsl: string | Readonly<Record<string, string>>;
  /** Bindings are inputs, then outputs, then `params`, under these names. */
  readonly inputs: readonly In[];
  readonly outputs: readonly Out[];
  /** Inputs written in place, such as a KV cache. */
  readonly mutates?: readonly Mut[];
  /** Inputs that may be left out; the plan's constants then keep the shader from reading them. */
  readonly optional?: readonly Opt[];
  plan(inputs: Specs<In, Opt>, options: Options, limits: Limits): Launch<Out>;
  /** The same for the CPU engine; `launch` is what `plan` made for it. */
  cpu(inputs: Specs<In, Opt>, options: Options, launch: Launch<Out>): CpuLaunch;
  reference(
    inputs: Specs<In, Opt, HostTensor>,
    options: Options,
  ): Record<Out | Mut, HostTensor>;
  /**
   * What it is compared and timed on. Many values belong behind a getter: every start of the program
   * imports all kernels.
   */
  readonly cases: readonly KernelCase<In, Options, Opt>[];
}

/** A kernel of any type, as a registry holds it. */
// deno-lint-ignore no-explicit-any -- a registry holds kernels of every type; the device checks names at run time
export type AnyKernel = Kernel<any, any, any, any, any>;
