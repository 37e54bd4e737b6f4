import { createHash } from "node:crypto";
import { type LocalFile, type Remote, wrongFile, WrongObject } from "../remote.ts";
import type { CheckedFile } from "./checked_file.ts";
import { type Objects, remoteOver } from "./object_remote.ts";
import { Broken } from "./s3_answers.ts";
import { uploadParts } from "./s3_parts.ts";
import { type BucketRequest, BucketRequests, type Pace } from "./s3_requests.ts";
import { bucketSettings, type Environment } from "./s3_settings.ts";
import { Turns } from "./turns.ts";

/** How a bucket is used where not as usual. */
export interface BucketOptions {
  readonly env?: Environment;
  readonly pace?: Partial<Pace>;
  /** Larger files go in parts of this size, at least 5 MiB by the protocol. */
  readonly partBytes?: number;
}

/** Parts in memory at once, over all files. */
const WIDTH = 4;
/** With {@linkcode WIDTH} of them on their way, and the copies of them in `fetch`, some 0.25 GB of memory. */
const PART_BYTES = 8 << 20;

/** An S3-compatible bucket, asked by path-style URLs; nothing is asked before it is used. */
export function openBucket(
  place: string,
  { env = (name) => Deno.env.get(name), pace = {}, partBytes = PART_BYTES }: BucketOptions = {},
): Promise<Remote> {
  const requests = new BucketRequests(bucketSettings(place, env), pace);
  return Promise.resolve(remoteOver(objectsIn(requests, partBytes)));
}

function objectsIn(requests: BucketRequests, partBytes: number): Objects {
  const turns = new Turns(WIDTH);
  const size = (name: string): Promise<number | undefined> =>
    requests.make(
      { method: "HEAD", name, verb: "find" },
      ({ status, headers }) =>
        Promise.resolve(status === 404 ? undefined : Number(headers.get("content-length") ?? NaN)),
    );
  const putOnce = (
    name: string,
    body: { readonly bytes: Uint8Array<ArrayBuffer>; readonly sha256: string },
    signal?: AbortSignal,
  ): Promise<void> =>
    requests.make(
      { method: "PUT", name, verb: "write", body, signal },
      ({ status }) => written(name, status),
    );
  return {
    name: requests.settings.place,
    size,
    read: (name, limit) => readSmall(requests, { name, limit }),
    fetch: (name, file, signal) => download(requests, { name, file, signal }),
    put: (name, bytes) => putOnce(name, { bytes, sha256: digestOf(bytes) }),
    upload: async (name, file, signal) => {
      if (file.size > partBytes) {
        const isThere = async () => await size(name) === file.size;
        await uploadParts(requests, { name, file, partBytes, turns, isThere, signal });
        return;
      }
      using _turn = await turns.take();
      await putOnce(name, { bytes: await readChecked(file), sha256: file.sha256 }, signal);
    },
  };
}

/** Streams an object to a file, going on where a broken connection left off. */
async function download(
  requests: BucketRequests,
  { name, file, signal }: {
    readonly name: string;
    readonly file: CheckedFile;
    readonly signal: AbortSignal | undefined;
  },
): Promise<boolean> {
  const request: BucketRequest = {
    method: "GET",
    name,
    verb: "read",
    signal,
    headers: () => file.position === 0 ? {} : { range: `bytes=${file.position}-` },
    progress: () => file.furthest,
  };
  return await requests.make(request, async (answer) => {
    const { status, headers, chunks } = answer;
    if (status === 404) return false;
    // The server has no more bytes than came; the file will find itself too short.
    if (status === 416) return true;
    const begins = /^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1];
    const from = status === 206 ? Number(begins ?? NaN) : 0;
    if (from !== file.position) {
      if (from !== 0) throw new WrongObject(`${name} comes from byte ${from} on, unasked`);
      await file.restart();
    }
    for await (const bytes of chunks()) await file.write(bytes);
    if (!file.isFull) throw new Broken(`it ends after ${file.position} bytes`);
    return true;
  });
}

async function readSmall(
  requests: BucketRequests,
  { name, limit }: { readonly name: string; readonly limit: number },
): Promise<Uint8Array | undefined> {
  return await requests.make({ method: "GET", name, verb: "read" }, async (answer) => {
    if (answer.status === 404) return undefined;
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const bytes of answer.chunks()) {
      size += bytes.length;
      if (size > limit) throw new WrongObject(`${name} is longer than ${limit} bytes`);
      parts.push(bytes);
    }
    const all = new Uint8Array(size);
    parts.reduce((at, bytes) => {
      all.set(bytes, at);
      return at + bytes.length;
    }, 0);
    return all;
  });
}

async function readChecked({ path, size, sha256 }: LocalFile): Promise<Uint8Array<ArrayBuffer>> {
  // A file that grew since must not fill the memory.
  if ((await Deno.stat(path)).size !== size) throw wrongFile(path);
  const bytes = await Deno.readFile(path);
  if (digestOf(bytes) !== sha256) throw wrongFile(path);
  return bytes;
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Takes a 404 for what is written as trouble: something between us and the bucket is not right. */
function written(name: string, status: number): Promise<void> {
  return status < 300
    ? Promise.resolve()
    : Promise.reject(new Error(`Cannot write ${name}: it answers ${status}`));
}
