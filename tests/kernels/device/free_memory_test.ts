import { strictEqual } from "node:assert/strict";
import { dirname } from "node:path";
import { freeMemory } from "../../../kernels/device/free_memory.ts";

const MB = 2 ** 20;
const options = { ignore: Deno.build.os !== "linux" };

Deno.test("memory that is free is what a container's limit leaves", options, async () => {
  const left = await freeUnder({
    "proc/self/cgroup": "0::/app\n",
    "sys/fs/cgroup/app/memory.max": "max\n",
    "sys/fs/cgroup/app/memory.current": `${30 * MB}\n`,
    "sys/fs/cgroup/memory.max": `${100 * MB}\n`,
    "sys/fs/cgroup/memory.current": `${40 * MB}\n`,
    "sys/fs/cgroup/memory.stat": `anon 5\ninactive_file ${2 * MB}\n`,
  });
  strictEqual(left, 62 * MB);
});

Deno.test("a limit of the first version of control groups counts as well", options, async () => {
  const left = await freeUnder({
    "proc/self/cgroup": "5:cpu,memory:/a/b\n1:name=systemd:/\n",
    "sys/fs/cgroup/memory/a/memory.limit_in_bytes": `${50 * MB}\n`,
    "sys/fs/cgroup/memory/a/memory.usage_in_bytes": `${49 * MB}\n`,
    "sys/fs/cgroup/memory/a/memory.stat": `inactive_file 7\ntotal_inactive_file ${3 * MB}\n`,
  });
  strictEqual(left, 4 * MB);
});

Deno.test("without a limit the system's free memory counts", options, async () => {
  const left = await freeUnder({ "proc/self/cgroup": "0::/\n" });
  // Others take and free some in between.
  const { available } = Deno.systemMemoryInfo();
  strictEqual(Math.abs(left / available - 1) < 0.5, true);
});

async function freeUnder(files: Readonly<Record<string, string>>): Promise<number> {
  const root = await Deno.makeTempDir();
  try {
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(dirname(`${root}/${path}`), { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    return freeMemory(`${root}/`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}
