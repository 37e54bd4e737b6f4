import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { weightShare } from "../../../stages/models/memory_shares.ts";
import { Model } from "../../../stages/models/model.ts";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import { prepareTasks } from "../../../stages/tasks/prepare_tasks.ts";
import { runTasks } from "../../../stages/tasks/run_tasks.ts";
import { tasksPeaks } from "../../../stages/tasks/tasks_memory.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

Deno.test("tasks hold the device memory that was counted from headers", async () => {
  for (const memoryBytes of [2 ** 28, 2 ** 22]) {
    await using device = await Cpu.open();
    const prepared = await prepareTasks([{ task: "stories", limit: 6 }]);
    using files = await openModel(EMBEDDED);
    const tokenizer = openTokenizer(files.checkpoint.tokenizer!);
    const { limits } = device;
    const counted = await tasksPeaks(prepared, { files, tokenizer, memoryBytes, limits });
    const out = await Deno.makeTempDir();
    try {
      using model = await Model.open(EMBEDDED, device, { weightBytes: weightShare(memoryBytes) });
      await runTasks(prepared, {
        device,
        model,
        path: EMBEDDED,
        baseline: undefined,
        out,
        memoryBytes,
        journal: { read: () => Promise.resolve(undefined), write: () => Promise.resolve() },
        signal: new AbortController().signal,
        beyond: undefined,
        progress() {},
        warn() {},
        scored() {},
      });
    } finally {
      await Deno.remove(out, { recursive: true });
    }
    const { peak } = device.memory;
    assert.ok(
      peak <= counted.deviceBytes,
      `${memoryBytes}: ${peak} bytes, ${counted.deviceBytes} counted`,
    );
    assert.ok(counted.deviceBytes < 2 * peak, `${counted.deviceBytes} counted, ${peak} bytes`);
  }
});
