/// <reference lib="deno.worker" />
import { NOT_BACK, withoutRest } from "./findings.ts";
import type { LastWord } from "./last_word.ts";
import { readFindings, writeFindings } from "./report_files.ts";

/** The thread of `endAfter()`. */
self.onmessage = ({ data: { after, out, titles } }: MessageEvent<LastWord>) => {
  setTimeout(() => {
    try {
      writeFindings(out, withoutRest(readFindings(out), titles), "last");
      Deno.stderr.writeSync(new TextEncoder().encode(`${NOT_BACK}: what was found is in ${out}\n`));
    } finally {
      Deno.kill(Deno.pid, "SIGKILL");
    }
  }, after);
};
