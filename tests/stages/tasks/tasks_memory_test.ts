import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { Cpu } from "../../../kernels/device/cpu/cpu.ts";
import { openModel } from "../../../stages/models/architecture.ts";
import { weightShare } from "../../../stages/models/memory_shares.ts";
import { Model } from "../../../stages/models/model.ts";
import { countPeaks, headersOf } from "../../../stages/models/peaks.ts";
import { openTokenizer } from "../../../stages/models/tokenizer.ts";
import { prepareTasks } from "../../../stages/tasks/prepare_tasks.ts";
import { runTasks } from "../../../stages/tasks/run_tasks.ts";
import { countTasks } from "../../../stages/tasks/tasks_memory.ts";

const EMBEDDED = fileURLToPath(new URL("../../../configs/embedded", import.meta.url));

Deno.test("tasks hold the device memory that was counted from headers", async () => {
  for (const memoryBytes of [2 ** 28, 2 ** 22]) {
    await using device = await Cpu.open();
    const prepared = await prepareTasks([{ task: "stories", limit: 6 }]);
    using files = await openModel(EMBEDDED);
    const tokenizer = openTokenizer(files.checkpoint.tokenizer!);
    const weightBytes = weightShare(memoryBytes);
    const counted = await countPeaks(device.limits, async (open) => {
      const counting = await open();
      using model = Model.of(counting, headersOf(files), { weightBytes });
      await countTasks(counting, model, prepared, { files, tokenizer, memoryBytes });
    });
    const out = await Deno.makeTempDir();
    try {
      using model = await Model.open(EMBEDDED, device, { weightBytes });
      await runTasks(prepared, {
        device,
        model,
        path: EMBEDDED,
        baseline: undefined,
        out,
        memoryBytes,
        journal: { read: () => Promise.resolve(undefined), write: () => Promise.resolve() },
        signal: new AbortController().signal,
        progress() {},
        warn() {},
        scored() {},
      });
    } finally {
      await Deno.remove(out, { recursive: true });
    }
    assert.equal(counted.deviceBytes, device.memory.peak, `${memoryBytes}`);
  }
});
