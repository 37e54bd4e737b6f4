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

/** What a device's compiler wants, and who is told what it refuses. */
export interface PipelinesOptions {
  /** Begins shaders that use subgroups. */
  readonly subgroupLine: string;
  /** Called with a kernel's name and what the compiler says. */
  onRefused(name: string, message: string): void;
}

/** Pipelines by kernel and constants; each is compiled once. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #options: PipelinesOptions;
  /** Compilers that have not said whether they take a shader. */
  readonly #open = new Set<Promise<void>>();
  readonly #byKernel = new Map<AnyKernel, Map<string, Pipeline>>();
  #ids = 0;

  constructor(device: GPUDevice, options: PipelinesOptions) {
    this.#device = device;
    this.#options = options;
  }

  /** Resolves when all compilers have said whether they take what they were given. */
  async settled(): Promise<void> {
    await Promise.all(this.#open);
  }

  /** The pipeline of a launch; `name` is what a kernel is called where it cannot be compiled. */
  find(kernel: AnyKernel, launch: Launch<string>, name: () => string): Pipeline {
    let variants = this.#byKernel.get(kernel);
    if (!variants) this.#byKernel.set(kernel, variants = new Map());
    const key = `${launch.shader ?? ""}|${JSON.stringify(launch.constants)}`;
    let found = variants.get(key);
    if (!found) variants.set(key, found = this.#told(name, () => this.#compile(kernel, launch)));
    return found;
  }

  /** Compiles, and tells what the compiler has against it. */
  #told(name: () => string, compile: () => Pipeline): Pipeline {
    const scopes = ["internal", "validation"] as const;
    for (const scope of scopes) this.#device.pushErrorScope(scope);
    try {
      return compile();
    } finally {
      const said = Promise.all(scopes.map(() => this.#device.popErrorScope()));
      const heard = said.then((errors) => {
        const error = errors.find((error) => error !== null);
        if (error) this.#options.onRefused(name(), error.message);
        // A device that is lost has no scopes, and tells so itself.
      }, () => {}).finally(() => this.#open.delete(heard));
      this.#open.add(heard);
    }
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
      code: launch.subgroups ? `${this.#options.subgroupLine}${code}` : code,
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
