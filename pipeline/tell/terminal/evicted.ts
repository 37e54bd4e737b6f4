import type { RunEvent } from "../../event.ts";
import { count, formatBytes } from "../../words.ts";

/** What a run says when its store was larger than its cap. */
export function evictedText(
  { removals, freed, bytes, maxBytes }: RunEvent & { readonly type: "evicted" },
): string {
  const artifacts = removals.filter(({ room }) => room === "artifacts").length;
  const size = `the store has ${formatBytes(bytes)}, its cap is ${formatBytes(maxBytes)}`;
  if (removals.length === 0) return `${size}, and all of it is in use; see gc --help`;
  return `removed ${count(artifacts, "artifact")} that no run uses, ${formatBytes(freed)} freed; ` +
    size;
}
