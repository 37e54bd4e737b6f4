/// <reference lib="deno.worker" />
import { ApiError } from "./api_error.ts";
import { READ } from "./read.ts";
import type { FromReader, Told, ToReader } from "./reader_messages.ts";
import type { ModelRules } from "./reading_rules.ts";
import { modelOf } from "./asked_model.ts";
import { openServedTokenizer, type ServedTokenizer } from "./served_tokenizer.ts";

let opened: readonly ModelRules[] = [];

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
    const tokenizers = new Map<object, ServedTokenizer>();
    opened = message.models.map(({ source, rules }) => {
      const tokenizer = tokenizers.get(source.buffer) ?? tokenizerOf(source);
      tokenizers.set(source.buffer, tokenizer);
      return { ...rules, tokenizer };
    });
    return { type: "ready" };
  }
  const { kind, body, contexts } = message;
  const model = opened.length > 1 ? modelOf(body, opened) : 0;
  const reading = READ[kind](body, { ...opened[model]!, context: contexts[model]! });
  return { type: "read", reading: reading instanceof Uint8Array ? reading : { ...reading, model } };
}

function tokenizerOf(source: Uint8Array<SharedArrayBuffer>): ServedTokenizer {
  const { files, texts, model, rows } = JSON.parse(new TextDecoder().decode(source.slice()));
  // JSON has no infinity.
  return openServedTokenizer(files, new Map(texts), model, rows ?? Infinity);
}

function tell(message: Told): void {
  const { heapTotal: heap } = Deno.memoryUsage();
  self.postMessage({ ...message, heap } satisfies FromReader);
}
