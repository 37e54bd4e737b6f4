import { type Choices, type Limits, PROMISED_LIMITS } from "./limits.ts";

/** What to do where no adapter is found. */
export const NO_ADAPTER =
  "Cannot open a GPU: no adapter was found, expected a graphics driver; leave --device out to run on the CPU, or install the packages mesa-vulkan-drivers and libvulkan1, which have a software driver for the tests of shaders";

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
  if (found.length === 0) throw new Error(NO_ADAPTER);
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
 * The one place that writes the process environment, as far as it is not set.
 *
 * Settles what the driver reads from the environment when the first adapter is asked for: Vulkan
 * where there is a choice, since shaders are tested on nothing else, and a directory that it wants
 * to be named though it does not use it.
 */
function prepareEnvironment(): void {
  const set = (name: string, value: string) => {
    if (!Deno.env.get(name)) Deno.env.set(name, value);
  };
  if (Deno.build.os === "linux") set("DENO_WEBGPU_BACKEND", "vulkan");
  set("XDG_RUNTIME_DIR", Deno.env.get("TMPDIR") ?? "/tmp");
}
