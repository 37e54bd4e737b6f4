import type { BucketAnswer, BucketRequest } from "./s3_requests.ts";
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

/** What to throw for an answer that is no 2xx; undefined where just the object is not there. */
export async function refusal(
  answer: BucketAnswer,
  { verb, name, settings }: Pick<BucketRequest, "verb" | "name"> & {
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
