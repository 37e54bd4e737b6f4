import { openCheckpoint } from "../../stages/models/open_checkpoint.ts";

/** Opens the checkpoint that the command line names, and prints what was said and the peak memory. */
if (import.meta.main) {
  const before = await peak();
  let said = "opened";
  try {
    using _checkpoint = await openCheckpoint(Deno.args[0]!);
  } catch (error) {
    said = (error as Error).message;
  }
  // deno-lint-ignore no-console -- what the parent reads
  console.log(JSON.stringify({ said, bytes: await peak() - before }));
}

/** Most bytes of memory that this process has held; Linux tells. */
async function peak(): Promise<number> {
  const text = await Deno.readTextFile("/proc/self/status").catch(() => "");
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(text)?.[1];
  return kilobytes === undefined ? Deno.memoryUsage().rss : 1024 * Number(kilobytes);
}
