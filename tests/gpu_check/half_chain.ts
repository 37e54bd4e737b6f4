/** Chains of products of half precision in registers, four values each. */
const THREADS = 256;
const TURNS = 512;
const WGSL = `enable f16;
@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  var a = vec4h(vec4u(id.x, id.x + 1u, id.x + 2u, id.x + 3u) % 64u);
  var b = a + 1h;
  for (var turn = 0u; turn < ${TURNS}u; turn++) {
    a = fma(a, vec4h(0.5h), vec4h(3h));
    b = fma(b, vec4h(0.5h), vec4h(3h));
  }
  let all = a + b;
  y[id.x] = u32(all.x + all.y + all.z + all.w);
}`;
/** What all chains come to: the fixed point of x / 2 + 3 is 6, of which there are eight. */
const SUM = 48;

/**
 * Operations a second in half precision, on a device of its own; undefined where an adapter has none. No
 * kernel computes so, since bits would be others where there is no half precision: this says what it would be
 * worth.
 */
export async function halfOperations(
  adapter: GPUAdapter,
  { groups, seconds }: { readonly groups: number; readonly seconds: number },
): Promise<number | undefined> {
  if (!adapter.features.has("shader-f16")) return undefined;
  const device = await adapter.requestDevice({ requiredFeatures: ["shader-f16"] });
  try {
    const module = device.createShaderModule({ code: WGSL });
    const pipeline = device.createComputePipeline({
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
    const buffer = device.createBuffer({ size: 4 * groups * THREADS, usage });
    const layout = pipeline.getBindGroupLayout(0);
    const group = device.createBindGroup({
      layout,
      entries: [{ binding: 0, resource: { buffer } }],
    });
    const timed = async (count: number) => {
      const start = performance.now();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let i = 0; i < count; i++) pass.dispatchWorkgroups(groups);
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      return (performance.now() - start) / 1000;
    };
    await timed(1);
    const sum = await firstWord(device, buffer);
    // A shader that a driver refuses takes no time at all.
    if (sum !== SUM) throw new Error(`products of half precision gave ${sum}, expected ${SUM}`);
    for (let count = 1;; count *= 4) {
      const taken = await timed(count);
      if (taken < seconds && count < 4096) continue;
      return count * groups * THREADS * TURNS * 8 * 2 / taken;
    }
  } finally {
    device.destroy();
  }
}

async function firstWord(device: GPUDevice, buffer: GPUBuffer): Promise<number> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: 4, usage });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 4);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return new Uint32Array(staging.getMappedRange().slice(0))[0]!;
}
