import { messageOf } from "../../errors.ts";
import type { BucketSettings } from "./s3_settings.ts";

/** Trouble that may pass. */
export class Broken extends Error {
  override readonly name = "Broken";
  /** No answer came at all. */
  readonly silent: boolean;

  constructor(message: string, { silent = false }: { readonly silent?: boolean } = {}) {
    super(message);
    this.silent = silent;
  }
}

/** Codes of trouble that passes though its status does not say so. */
const PASSING: ReadonlySet<string> = new Set(["RequestTimeout", "InternalError", "SlowDown"]);

/** An answer that is neither trouble nor a refusal: 2xx, 404 of an object, or 416. */
export interface BucketAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The bytes as they come; what breaks is a {@linkcode Broken}. */
  chunks(): AsyncGenerator<Uint8Array>;
  text(): Promise<string>;
}

/** An answer as it comes; `heard` is called whenever bytes do. */
export function answerOf(
  response: Response,
  { heard, signal }: { readonly heard: () => void; readonly signal: AbortSignal },
): BucketAnswer {
  const { status, headers, body } = response;
  const chunks = async function* () {
    const reader = body?.getReader();
    for (;;) {
      const read = await reader?.read().catch((error) => {
        throw new Broken(reason(error, signal));
      });
      if (!read || read.done) return;
      heard();
      yield read.value;
      // Writing what came takes time, too.
      heard();
    }
  };
  return {
    status,
    headers,
    chunks,
    text: async () => {
      let [text, size] = ["", 0];
      const decoder = new TextDecoder();
      for await (const bytes of chunks()) {
        text += decoder.decode(bytes, { stream: true });
        // Answers in words are short; nobody makes us keep more.
        if ((size += bytes.length) > 1 << 16) break;
      }
      return text;
    },
  };
}

/** What to throw for an answer that is no 2xx; undefined where just the object is not there. */
export async function refusalIn(
  answer: BucketAnswer,
  { verb, name, settings }: {
    readonly verb: string;
    readonly name: string;
    readonly settings: BucketSettings;
  },
): Promise<Error | undefined> {
  const { status, headers } = answer;
  const { place, bucket, endpoint, region } = settings;
  const code = codeIn(await answer.text());
  const says = `it answers ${status}${code ? ` (${code})` : ""}`;
  if (status >= 500 || status === 429 || status === 408 || PASSING.has(code)) {
    return new Broken(says);
  }
  if (status === 404 && code !== "NoSuchBucket") return undefined;
  if (status === 404) {
    return new Error(
      `Cannot use the remote ${place}: there is no bucket "${bucket}" at ${endpoint}; make it first`,
    );
  }
  const failed = `Cannot ${verb} ${name} in ${place}: ${says}`;
  const there = headers.get("x-amz-bucket-region");
  if (there && there !== region) {
    return new Error(`${failed}, expected AWS_REGION=${there}, which is where the bucket lies`);
  }
  if (code === "RequestTimeTooSkewed") return new Error(`${failed}; set the clock of this machine`);
  if (status === 403 || status === 401) {
    return new Error(
      `${failed}, expected leave to read, write and list; see AWS_ACCESS_KEY_ID, ` +
        `AWS_SECRET_ACCESS_KEY and the rights of that key`,
    );
  }
  return new Error(failed);
}

/** The code of an error in XML, or "". */
export function codeIn(text: string): string {
  return /<Code>([\w.-]{1,80})<\/Code>/.exec(text)?.[1] ?? "";
}

/** Why a request failed: as its signal says, where that was aborted for trouble. */
export function reason(error: unknown, { aborted, reason }: AbortSignal): string {
  return messageOf(aborted && reason instanceof Broken ? reason : error);
}
