import { strict as assert } from "node:assert";
import { openAdapter } from "../../../kernels/device/adapter.ts";
import { PROMISED_LIMITS } from "../../../kernels/device/limits.ts";
import { glu } from "../../../kernels/mod.ts";
import { Pipelines } from "../../../kernels/device/pipelines.ts";
import { PLANNED_LIMITS, shaderTexts } from "../../support/shader_texts.ts";
import { faultsOf, openTint } from "../../support/tint.ts";

/** What Chrome's compiler wants before subgroups. */
const ENABLED = "enable subgroups;\n";

Deno.test("every shader of every plan of every case compiles in Tint", async () => {
  using tint = await openTint();
  await assertFaultless(tint.device, ENABLED);
});

Deno.test("every shader of every plan of every case compiles in naga", async () => {
  const { device } = await openAdapter();
  try {
    await assertFaultless(device);
  } finally {
    device.destroy();
  }
});

Deno.test("every shader is a pipeline within WebGPU's default limits, by Chrome's checks", async () => {
  using tint = await openTint();
  const { device } = tint;
  const refused: string[] = [];
  const pipelines = new Pipelines(device, {
    subgroupLine: ENABLED,
    onRefused: (label, message) => refused.push(`${label}: ${message}`),
  });
  for (const { label, kernel, launch } of shaderTexts({ default: PROMISED_LIMITS })) {
    pipelines.find(kernel, launch, () => label);
  }
  await pipelines.settled();
  assert.deepEqual(refused, []);
  const wgsl = (glu.wgsl as string).replace(/@workgroup_size\(\w+\)/, "@workgroup_size(4096)");
  const [{ inputs, options }] = glu.cases as readonly [(typeof glu.cases)[number]];
  const launch = glu.plan(inputs, options, PROMISED_LIMITS);
  pipelines.find({ ...glu, wgsl }, launch, () => "a group of 4,096");
  await pipelines.settled();
  assert.match(refused.join(), /^a group of 4,096: .*4096/s);
});

Deno.test("Tint sees what naga does not look for, and what exceeds a limit", async () => {
  using tint = await openTint();
  const main = "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32)";
  const mixed = `${main} { let x = i | i << 2u; }`;
  assert.match((await faultsOf(tint.device, mixed)).join(), /mixing '\|' and '<<'/);
  const early = `var<workgroup> seen: u32;
    ${main} {
      if (i == 0u) { seen = 1u; }
      workgroupBarrier();
      if (seen == 1u) { workgroupBarrier(); }
    }`;
  assert.match((await faultsOf(tint.device, early)).join(), /uniform control flow/);
  const module = tint.device.createShaderModule({ code: main.replace("64", "512") + " {}" });
  tint.device.pushErrorScope("validation");
  tint.device.createComputePipeline({ layout: "auto", compute: { module } });
  assert.match((await tint.device.popErrorScope())!.message, /512/);
});

async function assertFaultless(device: GPUDevice, subgroupLine = ""): Promise<void> {
  const texts = shaderTexts(PLANNED_LIMITS);
  assert.ok(texts.length > 100);
  for (const { label, code, launch } of texts) {
    const whole = launch.subgroups ? `${subgroupLine}${code}` : code;
    assert.deepEqual(await faultsOf(device, whole), [], label);
  }
}
