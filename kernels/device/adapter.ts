import type { AdapterClass, Limits } from "./limits.ts";

/** What to do where no adapter is found. */
export const NO_ADAPTER =
  "Cannot open a GPU: no Vulkan adapter was found, expected a graphics driver or Debian's software driver; run `deno task setup`, or install the packages mesa-vulkan-drivers and libvulkan1";

/** A device with everything the adapter allows, and the facts plans may look at. */
export interface Opened {
  readonly device: GPUDevice;
  readonly limits: Limits;
  readonly name: string;
}

/** Features worth having; each is asked for on its own since adapters accept some they do not list. */
const WISHES = ["subgroups", "timestamp-query"] as const;

/** Opens the best adapter; throws with the way out where there is none. */
export async function openAdapter(options: { readonly as?: AdapterClass } = {}): Promise<Opened> {
  const adapter = await findAdapter();
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
  const { device, features } = await requestDevice(adapter, requiredLimits);
  const { info } = adapter;
  const limits = limitsOf(adapter);
  return {
    device,
    name: info.description || `${info.vendor} ${info.device}`,
    limits: {
      ...limits,
      adapter: options.as ?? limits.adapter,
      subgroup: features.includes("subgroups") ? limits.subgroup : 0,
    },
  };
}

/**
 * The limits that a device of an adapter will have, if it lets values be exchanged in lockstep as it
 * says.
 */
export function limitsOf({ info, limits: most }: GPUAdapter): Limits {
  const same = info.subgroupMinSize === info.subgroupMaxSize;
  return {
    adapter: info.isFallbackAdapter ? "software" : "gpu",
    groupBytes: most.maxComputeWorkgroupStorageSize,
    groupThreads: most.maxComputeInvocationsPerWorkgroup,
    gridAxis: most.maxComputeWorkgroupsPerDimension,
    bindingBytes: Math.min(most.maxStorageBufferBindingSize, most.maxBufferSize),
    subgroup: same ? info.subgroupMinSize : 0,
  };
}

/** The best adapter, of which no device is opened; throws with the way out where there is none. */
export async function findAdapter(): Promise<GPUAdapter> {
  prepareEnvironment();
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (adapter) return adapter;
  throw new Error(NO_ADAPTER);
}

async function requestDevice(adapter: GPUAdapter, requiredLimits: Record<string, number>) {
  let features: GPUFeatureName[] = [...WISHES] as GPUFeatureName[];
  for (;;) {
    try {
      const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits });
      return { device, features };
    } catch (error) {
      if (!(error instanceof TypeError) || features.length === 0) throw error;
      features = features.slice(0, -1);
    }
  }
}

/**
 * The one place that writes the process environment, as far as it is not set.
 *
 * Settles what the driver reads from the environment when the first adapter is asked for: Vulkan
 * where there is a choice (over OpenGL, which lacks subgroups), and a directory that it wants to
 * be named though it does not use it.
 */
function prepareEnvironment(): void {
  const set = (name: string, value: string) => {
    if (!Deno.env.get(name)) Deno.env.set(name, value);
  };
  if (Deno.build.os === "linux") set("DENO_WEBGPU_BACKEND", "vulkan");
  set("XDG_RUNTIME_DIR", Deno.env.get("TMPDIR") ?? "/tmp");
}
