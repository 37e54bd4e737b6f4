/// <reference lib="deno.worker" />
import { ApiError } from "./api_error.ts";
import { READ } from "./read.ts";
import type { FromReader, Told, ToReader } from "./reader_messages.ts";
import type { ReadingRules } from "./reading_rules.ts";
import { openServedTokenizer } from "./served_tokenizer.ts";

let opened: Omit<ReadingRules, "context"> | undefined;

self.onmessage = ({ data }: MessageEvent<ToReader>) => {
  try {
    tell(hear(data));
  } catch (error) {
    tell(
      error instanceof ApiError
        ? { type: "refused", error: error.parts }
        : { type: "failed", reason: error instanceof Error ? `${error.stack}` : String(error) },
    );
  }
};

function hear(message: ToReader): Told {
  if (message.type === "open") {
    const { source, rules } = message;
    const { files, texts, model, rows } = JSON.parse(new TextDecoder().decode(source.slice()));
    // JSON has no infinity.
    const tokenizer = openServedTokenizer(files, new Map(texts), model, rows ?? Infinity);
    opened = { ...rules, tokenizer };
    return { type: "ready" };
  }
  const { kind, body, context } = message;
  return { type: "read", reading: READ[kind](body, { ...opened!, context }) };
}

function tell(message: Told): void {
  const { heapTotal: heap } = Deno.memoryUsage();
  self.postMessage({ ...message, heap } satisfies FromReader);
}
