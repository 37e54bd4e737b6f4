import { setTimeout as sleep } from "node:timers/promises";
import { AwsV4Signer } from "aws4fetch";
import { answerOf, Broken, type BucketAnswer, reason, refusalIn } from "./s3_answers.ts";
import type { BucketSettings } from "./s3_settings.ts";

/** How often and how patiently requests are made. */
export interface Pace {
  /** Times a request is made that ends in trouble which may pass. */
  readonly tries: number;
  /** Milliseconds before the second time; doubled before each further one. */
  readonly pause: number;
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly patience: number;
}

/** Six tries take 8 s of pauses, which outlasts a server that starts again or asks to slow down. */
const USUAL: Pace = { tries: 6, pause: 250, patience: 30_000 };
/** Bytes a millisecond of the slowest upload that is waited for. */
const SLOWEST = 64;
/** How long a server that did not answer at all is not asked again. */
const SILENCE_MS = 60_000;
/** Sha256 of no bytes. */
const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** One request; what it is about is said in messages. */
export interface BucketRequest {
  readonly method: "HEAD" | "GET" | "PUT" | "POST" | "DELETE";
  /** Of the object. */
  readonly name: string;
  /** Such as `read`, for messages. */
  readonly verb: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Made anew for every try. */
  readonly headers?: () => Readonly<Record<string, string>>;
  readonly body?: { readonly bytes: Uint8Array<ArrayBuffer>; readonly sha256: string };
  readonly signal?: AbortSignal | undefined;
  /** Grows as long as tries get somewhere, so that they are not counted. */
  readonly progress?: () => number;
}

/** Signed requests to a bucket, made again while there is hope. */
export class BucketRequests {
  readonly settings: BucketSettings;
  readonly #pace: Pace;
  #silent: { readonly until: number; readonly error: Error } | undefined;

  constructor(settings: BucketSettings, pace: Partial<Pace> = {}) {
    this.settings = settings;
    this.#pace = { ...USUAL, ...pace };
  }

  /** Makes a request; `use` reads the answer and is part of what is tried again. */
  async make<T>(request: BucketRequest, use: (answer: BucketAnswer) => Promise<T>): Promise<T> {
    const { tries, pause } = this.#pace;
    const { signal, progress = () => 0 } = request;
    if (this.#silent && performance.now() < this.#silent.until) throw this.#silent.error;
    for (let failed = 1;; failed++) {
      const before = progress();
      try {
        return await this.#try(request, use);
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Broken)) throw error;
        if (progress() > before) failed = 0;
        if (failed >= tries) throw this.#giveUp(request, error);
        const wait = pause * 2 ** Math.max(0, failed - 1) * (0.75 + Math.random() / 2);
        await sleep(wait, undefined, signal ? { signal } : {}).catch(() => {});
        signal?.throwIfAborted();
      }
    }
  }

  async #try<T>(
    request: BucketRequest,
    use: (answer: BucketAnswer) => Promise<T>,
  ): Promise<T> {
    const { patience } = this.#pace;
    const controller = new AbortController();
    const seconds = Math.round(patience / 100) / 10;
    const giveUp = () => controller.abort(new Broken(`nothing comes for ${seconds} s`));
    let timer = setTimeout(giveUp, patience + (request.body?.bytes.length ?? 0) / SLOWEST);
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, patience);
    };
    const { signal } = controller;
    const both = request.signal ? AbortSignal.any([request.signal, signal]) : signal;
    try {
      const { url, init } = await this.#sign(request);
      const response = await fetch(url, { ...init, redirect: "manual", signal: both })
        .catch((error) => {
          throw new Broken(reason(error, signal), { silent: true });
        });
      heard();
      const answer = answerOf(response, { heard, signal });
      const { status } = response;
      if (response.ok || status === 416) return await use(answer);
      const refused = await refusalIn(answer, { ...request, settings: this.settings });
      if (refused) throw refused;
      // Why it is not there has been read.
      return await use({
        ...answer,
        chunks: async function* () {},
        text: () => Promise.resolve(""),
      });
    } finally {
      clearTimeout(timer);
      // What was not read is not wanted.
      controller.abort();
    }
  }

  async #sign({ method, name, query = {}, headers, body }: BucketRequest): Promise<
    { readonly url: string; readonly init: RequestInit }
  > {
    const { endpoint, bucket, prefix, region, ...keys } = this.settings;
    const path = [bucket, ...`${prefix}${name}`.split("/")].map(encode).join("/");
    const url = new URL(`${endpoint}/${path}`);
    for (const [word, value] of Object.entries(query)) url.searchParams.set(word, value);
    const signed = await new AwsV4Signer({
      ...keys,
      service: "s3",
      region,
      method,
      url: url.href,
      headers: { ...headers?.(), "x-amz-content-sha256": body?.sha256 ?? EMPTY },
    }).sign();
    // Not signed, since proxies change it: bytes are to come as they are stored.
    signed.headers.set("accept-encoding", "identity");
    const init = { method, headers: signed.headers, ...body && { body: body.bytes } };
    return { url: signed.url.href, init };
  }

  #giveUp({ verb, name }: BucketRequest, { message, silent }: Broken): Error {
    const { endpoint } = this.settings;
    const error = silent
      ? new Error(`Cannot reach ${endpoint}: ${message}`)
      : new Error(`Cannot ${verb} ${name}: ${message}, ${this.#pace.tries} times over`);
    if (silent) this.#silent = { until: performance.now() + SILENCE_MS, error };
    return error;
  }
}

/** Encodes all that is signed encoded, so that servers need not do so before they compare. */
function encode(name: string): string {
  return encodeURIComponent(name).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
