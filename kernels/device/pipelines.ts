import type { AnyKernel, Plan } from "./kernel.ts";

/** A compiled shader with the layout of its bindings. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Names of a kernel's bindings in order, the params last. */
export function bindingNames(kernel: AnyKernel): string[] {
  return [...kernel.inputs, ...kernel.outputs, "params"];
}

/** Pipelines by kernel and constants; each is compiled once. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #byKernel = new Map<AnyKernel, Map<string, Pipeline>>();
  #ids = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  find(kernel: AnyKernel, plan: Plan<string>): Pipeline {
    let variants = this.#byKernel.get(kernel);
    if (!variants) this.#byKernel.set(kernel, variants = new Map());
    const key = `${plan.shader ?? ""}|${JSON.stringify(plan.constants)}`;
    let found = variants.get(key);
    if (!found) variants.set(key, found = this.#compile(kernel, plan));
    return found;
  }

  #compile(kernel: AnyKernel, plan: Plan<string>): Pipeline {
    const names = bindingNames(kernel);
    const written = new Set<string>([...kernel.outputs, ...(kernel.mutates ?? [])]);
    const layout = this.#device.createBindGroupLayout({
      entries: names.map((name, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: name === "params"
          ? { type: "uniform", hasDynamicOffset: true }
          : { type: written.has(name) ? "storage" : "read-only-storage" },
      })),
    });
    const module = this.#device.createShaderModule({ code: shaderSource(kernel, plan) });
    const pipeline = this.#device.createComputePipeline({
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return { id: this.#ids++, pipeline, layout };
  }
}

/** The text given to the compiler: the plan's constants as declarations, then the shader as it stands. */
export function shaderSource(kernel: AnyKernel, plan: Plan<string>): string {
  const lines = Object.entries(plan.constants).map(([name, value]) =>
    typeof value === "string"
      ? `alias ${name} = ${value};`
      : `const ${name} = ${typeof value === "number" ? `${value}u` : value};`
  );
  return `${lines.join("\n")}\n${shaderText(kernel, plan)}`;
}

function shaderText({ wgsl }: AnyKernel, { shader }: Plan<string>): string {
  if (typeof wgsl === "string") return wgsl;
  const text = shader === undefined ? undefined : wgsl[shader];
  if (text === undefined) {
    throw new TypeError(
      `Cannot choose a shader: the plan names ${shader}, expected one of ${
        Object.keys(wgsl).join(", ")
      }`,
    );
  }
  return text;
}
