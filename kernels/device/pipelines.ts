import type { AnyKernel, Launch } from "./kernel.ts";

/** A compiled shader with the layout of its bindings. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Names of the bindings of a kernel's launch in order. */
export function bindingNames(
  kernel: AnyKernel,
  { scratch }: Partial<Launch<string>> = {},
): string[] {
  return [...kernel.inputs, ...kernel.outputs, "params", ...scratch ? ["scratch"] : []];
}

/** Pipelines by kernel and constants; each is compiled once. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #subgroupLine: string;
  readonly #byKernel = new Map<AnyKernel, Map<string, Pipeline>>();
  #ids = 0;

  /** `subgroupLine` begins shaders that use subgroups, where the compiler wants one. */
  constructor(device: GPUDevice, subgroupLine: string) {
    this.#device = device;
    this.#subgroupLine = subgroupLine;
  }

  find(kernel: AnyKernel, launch: Launch<string>): Pipeline {
    let variants = this.#byKernel.get(kernel);
    if (!variants) this.#byKernel.set(kernel, variants = new Map());
    const key = `${launch.shader ?? ""}|${JSON.stringify(launch.constants)}`;
    let found = variants.get(key);
    if (!found) variants.set(key, found = this.#compile(kernel, launch));
    return found;
  }

  #compile(kernel: AnyKernel, launch: Launch<string>): Pipeline {
    const names = bindingNames(kernel, launch);
    const written = new Set<string>([...kernel.outputs, ...(kernel.mutates ?? []), "scratch"]);
    const layout = this.#device.createBindGroupLayout({
      entries: names.map((name, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: name === "params"
          ? { type: "uniform", hasDynamicOffset: true }
          : { type: written.has(name) ? "storage" : "read-only-storage" },
      })),
    });
    const code = shaderSource(kernel, launch);
    const module = this.#device.createShaderModule({
      code: launch.subgroups ? `${this.#subgroupLine}${code}` : code,
    });
    const pipeline = this.#device.createComputePipeline({
      layout: this.#device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    return { id: this.#ids++, pipeline, layout };
  }
}

/** The text given to the compiler: the launch's constants as declarations, then the shader as it stands. */
export function shaderSource(kernel: AnyKernel, launch: Launch<string>): string {
  const lines = Object.entries(launch.constants).map(([name, value]) =>
    typeof value === "string"
      ? `alias ${name} = ${value};`
      : `const ${name} = ${typeof value === "number" ? `${value}u` : value};`
  );
  return `${lines.join("\n")}\n${shaderText(kernel, launch)}`;
}

function shaderText({ wgsl }: AnyKernel, { shader }: Launch<string>): string {
  if (typeof wgsl === "string") return wgsl;
  const text = shader === undefined ? undefined : wgsl[shader];
  if (text === undefined) {
    throw new TypeError(
      `Cannot choose a shader: the launch names ${shader}, expected one of ${
        Object.keys(wgsl).join(", ")
      }`,
    );
  }
  return text;
}
