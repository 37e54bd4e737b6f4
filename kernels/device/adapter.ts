import { type Choices, type Limits, PROMISED_LIMITS } from "./limits.ts";

/** What to do where no adapter is found. */
export function noAdapter(os: typeof Deno.build.os): string {
  const way = os === "windows"
    ? "install the vendor's driver, which brings Vulkan, or set DENO_WEBGPU_BACKEND=dx12 and DENO_WEBGPU_DX12_COMPILER=dxc to take DirectX"
    : os === "darwin"
    ? "run on a Mac with Metal"
    : "install the packages mesa-vulkan-drivers and libvulkan1, which have a software driver for the tests of shaders";
  return `Cannot open a GPU: no adapter was found, expected a graphics driver; leave --device out to run on the CPU, or ${way}`;
}

/**
 * Throws where DirectX 12 is asked for with the compiler that Deno takes for it unless told: shaders would
 * compile for minutes, and run without subgroups and products of bytes.
 */
export function refuseOldCompiler(
  os = Deno.build.os,
  variable = (name: string) => Deno.env.get(name),
): void {
  if (os !== "windows" || variable("DENO_WEBGPU_BACKEND") !== "dx12") return;
  if (variable("DENO_WEBGPU_DX12_COMPILER")) return;
  throw new Error(
    "Cannot open a GPU: DENO_WEBGPU_BACKEND=dx12 takes DirectX 12 with its old compiler (FXC), expected DENO_WEBGPU_DX12_COMPILER=dxc beside it (fxc to have the old one all the same), or neither, which takes Vulkan",
  );
}

/** A device with everything the adapter allows, and the facts plans may look at. */
export interface Opened {
  readonly device: GPUDevice;
  readonly limits: Limits;
  readonly name: string;
  /** What a shader that uses subgroups begins with: a line that some compilers need and others refuse. */
  readonly subgroupLine: string;
}

/** What adapter to open, and whether for all that it allows. */
export interface AdapterOptions {
  /** The best one unless said. */
  readonly adapter?: GPUAdapter;
  /** Asks for no more than what WebGPU promises on any adapter. */
  readonly modest?: boolean;
  /** Which plans to take, where there is a choice; see `Limits`. */
  readonly choices?: Choices;
}

/** Opens an adapter; throws with the way out where there is none. */
export async function openAdapter(options: AdapterOptions = {}): Promise<Opened> {
  const adapter = options.adapter ?? await findAdapter();
  if (options.modest) {
    const device = await adapter.requestDevice();
    const limits = { ...PROMISED_LIMITS, ...turnsOf(adapter.info) };
    return { device, name: nameOf(adapter.info), limits, subgroupLine: "" };
  }
  const most = adapter.limits;
  const requiredLimits = {
    maxBufferSize: most.maxBufferSize,
    maxStorageBufferBindingSize: most.maxStorageBufferBindingSize,
    maxStorageBuffersPerShaderStage: most.maxStorageBuffersPerShaderStage,
    maxComputeWorkgroupStorageSize: most.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: most.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupSizeX: most.maxComputeWorkgroupSizeX,
    maxComputeWorkgroupSizeY: most.maxComputeWorkgroupSizeY,
    maxComputeWorkgroupSizeZ: most.maxComputeWorkgroupSizeZ,
    minUniformBufferOffsetAlignment: most.minUniformBufferOffsetAlignment,
  };
  const device = await requestWithSubgroups(adapter, { requiredLimits });
  const { subgroupThreads: _, ...others } = limitsOf(adapter);
  return {
    device,
    name: nameOf(adapter.info),
    limits: {
      ...others,
      ...device.features.has("subgroups") && subgroupsOf(adapter.info),
      ...options.choices && { choices: options.choices },
    },
    subgroupLine: await subgroupLine(device),
  };
}

/** Deno grants subgroups where `adapter.features` does not list them. */
async function requestWithSubgroups(
  adapter: GPUAdapter,
  descriptor: GPUDeviceDescriptor,
): Promise<GPUDevice> {
  try {
    return await adapter.requestDevice({ ...descriptor, requiredFeatures: ["subgroups"] });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return await adapter.requestDevice(descriptor);
  }
}

/** Chrome's compiler wants subgroups enabled by a line; naga knows them and refuses the line. */
async function subgroupLine(device: GPUDevice): Promise<string> {
  if (!device.features.has("subgroups")) return "";
  const line = "enable subgroups;\n";
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: `${line}const nothing = 0u;` });
  const { messages } = await module.getCompilationInfo();
  await device.popErrorScope();
  return messages.some(({ type }) => type === "error") ? "" : line;
}

/** Mesa's driver for processors, which ends the loops of an invocation after so many turns in all. */
const CUT_LOOPS = { driver: /llvmpipe/, turns: 65535 };

/** The limits that a device of an adapter will have. */
export function limitsOf({ limits: most, info }: GPUAdapter): Limits {
  return {
    ...turnsOf(info),
    ...subgroupsOf(info),
    adapter: "gpu",
    groupBytes: most.maxComputeWorkgroupStorageSize,
    groupThreads: most.maxComputeInvocationsPerWorkgroup,
    gridAxis: most.maxComputeWorkgroupsPerDimension,
    bindingBytes: Math.min(most.maxStorageBufferBindingSize, most.maxBufferSize),
  };
}

function turnsOf(info: GPUAdapterInfo): Pick<Limits, "turns"> {
  return CUT_LOOPS.driver.test(nameOf(info)) ? { turns: CUT_LOOPS.turns } : {};
}

/** The smallest subgroup of an adapter that tells it. */
function subgroupsOf({ subgroupMinSize }: GPUAdapterInfo): Pick<Limits, "subgroupThreads"> {
  return subgroupMinSize > 0 ? { subgroupThreads: subgroupMinSize } : {};
}

/** What kinds of adapters can be asked for, the best first. */
const KINDS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

/**
 * The best adapter, or one whose name contains `name`; no device of it is opened. Throws with the way
 * out where there is none.
 */
export async function findAdapter(name = ""): Promise<GPUAdapter> {
  const adapters = await findAdapters(name === "" ? KINDS.slice(0, 1) : KINDS);
  const named = adapters.find(({ info }) =>
    nameOf(info).toLowerCase().includes(name.toLowerCase())
  );
  if (named) return named;
  const names = new Set(adapters.map(({ info }) => nameOf(info)));
  throw new Error(
    `Cannot find a GPU named ${name}: there is ${[...names].join(", ")}, expected one of these`,
  );
}

/** An adapter of each kind, the best first; throws with the way out where there is none. */
export async function findAdapters(kinds = KINDS): Promise<GPUAdapter[]> {
  prepareEnvironment();
  const found: GPUAdapter[] = [];
  for (const kind of kinds) {
    const adapter = await navigator.gpu?.requestAdapter(kind);
    if (adapter) found.push(adapter);
  }
  if (found.length === 0) throw new Error(noAdapter(Deno.build.os));
  return found;
}

let kept: Promise<GPUAdapter | undefined> | undefined;

/**
 * Has this thread hold an adapter until the process ends, so that drivers stay loaded.
 *
 * A worker's end unloads what it alone has loaded. A driver that another thread unloads while the
 * process exits is gone under its own exit handlers, which then end the process by a signal.
 */
export async function keepDrivers(): Promise<void> {
  await (kept ??= findAdapter().catch(() => undefined));
}

/** What an adapter calls itself. */
export function nameOf(
  { description, vendor, architecture, device }: GPUAdapterInfo,
): string {
  // Browsers say no more than vendor and architecture.
  return description || [vendor, architecture, device].filter((part) => part !== "").join(" ");
}

/**
 * The one place that writes the process environment, as far as it is not set; drivers read it when the
 * first adapter is asked for.
 */
function prepareEnvironment(): void {
  const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
  for (const [name, value] of Object.entries(driverEnvironment(Deno.build.os, temporary))) {
    if (!Deno.env.get(name)) Deno.env.set(name, value);
  }
}

/**
 * What drivers of a system are told unless the user says otherwise: Vulkan where there is a choice, since
 * shaders are tested on nothing else and the compiler that Deno takes for DirectX 12 (FXC) has neither
 * subgroups nor products of bytes; and a directory that Linux's want to be named though they do not use it.
 */
export function driverEnvironment(
  os: typeof Deno.build.os,
  temporary: string,
): Record<string, string> {
  if (os === "windows") return { DENO_WEBGPU_BACKEND: "vulkan" };
  if (os !== "linux") return {};
  return { DENO_WEBGPU_BACKEND: "vulkan", XDG_RUNTIME_DIR: temporary };
}
