import { createHash } from "node:crypto";
import { escapeMarkup } from "../../words.ts";
import { type LocalFile, wrongFile } from "../remote.ts";
import { Broken, codeIn } from "./s3_answers.ts";
import type { BucketRequests } from "./s3_requests.ts";
import type { Turns } from "./turns.ts";

/** The most parts that the protocol allows. */
const MOST_PARTS = 10_000;

/** What goes where in parts. */
export interface PartedUpload {
  readonly name: string;
  readonly file: LocalFile;
  readonly partBytes: number;
  /** A part is in memory from when its turn comes until it has arrived. */
  readonly turns: Turns;
  /** Whether the whole object is there. */
  isThere(): Promise<boolean>;
  readonly signal: AbortSignal | undefined;
}

/** Uploads a large file in parts; it shows when all have arrived, and what failed is taken back. */
export async function uploadParts(
  requests: BucketRequests,
  upload: PartedUpload,
): Promise<void> {
  const { name } = upload;
  const id = await requests.make(
    { method: "POST", name, verb: "begin to write", query: { uploads: "" } },
    async (answer) => {
      const found = /<UploadId>([^<&]+)<\/UploadId>/.exec(await answer.text())?.[1];
      if (found === undefined) throw new Error(`Cannot write ${name}: the answer has no UploadId`);
      return found;
    },
  );
  try {
    const tags = await sendParts(requests, { ...upload, id });
    await complete(requests, { ...upload, id, tags });
  } catch (error) {
    // Parts that are never put together are paid for until somebody removes them.
    await requests.make(
      { method: "DELETE", name, verb: "take back", query: { uploadId: id } },
      () => Promise.resolve(),
    ).catch(() => {});
    throw error;
  }
}

async function sendParts(
  requests: BucketRequests,
  { name, id, ...upload }: PartedUpload & { readonly id: string },
): Promise<readonly string[]> {
  const { path, size, sha256 } = upload.file;
  const partBytes = Math.max(upload.partBytes, Math.ceil(size / MOST_PARTS));
  const hash = createHash("sha256");
  const tags: string[] = [];
  const sending: Promise<void>[] = [];
  const failed = new AbortController();
  const signal = upload.signal ? AbortSignal.any([upload.signal, failed.signal]) : failed.signal;
  using file = await Deno.open(path);
  const send = async (number: number, bytes: Uint8Array<ArrayBuffer>) => {
    tags[number - 1] = await sendPart(requests, { name, id, number, bytes, signal });
  };
  try {
    for (let at = 0, number = 1; at < size; at += partBytes, number++) {
      // Let go when the part has arrived, or at once where there is none.
      using turns = new DisposableStack();
      turns.use(await upload.turns.take());
      signal.throwIfAborted();
      const bytes = new Uint8Array(Math.min(partBytes, size - at));
      if (!await fill(file, bytes)) throw wrongFile(path);
      hash.update(bytes);
      const turn = turns.move();
      sending.push(
        send(number, bytes).catch((error) => failed.abort(error)).finally(() => turn.dispose()),
      );
    }
    if (hash.digest("hex") !== sha256) throw wrongFile(path);
  } catch (error) {
    failed.abort(error);
  }
  await Promise.all(sending);
  signal.throwIfAborted();
  return tags;
}

async function sendPart(
  requests: BucketRequests,
  { name, id, number, bytes, signal }: {
    readonly name: string;
    readonly id: string;
    readonly number: number;
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly signal: AbortSignal;
  },
): Promise<string> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const query = { partNumber: String(number), uploadId: id };
  const body = { bytes, sha256 };
  return await requests.make(
    { method: "PUT", name, verb: `write part ${number} of`, query, body, signal },
    ({ status, headers }) => {
      const tag = headers.get("etag");
      if (status < 300 && tag) return Promise.resolve(tag);
      throw new Error(`Cannot write part ${number} of ${name}: it answers ${status} and no ETag`);
    },
  );
}

/** Puts the parts together; an answer of 200 may still tell that this failed. */
async function complete(
  requests: BucketRequests,
  { name, id, tags, isThere }: PartedUpload & {
    readonly id: string;
    readonly tags: readonly string[];
  },
): Promise<void> {
  const parts = tags.map((tag, i) => {
    return `<Part><PartNumber>${i + 1}</PartNumber><ETag>${escapeMarkup(tag)}</ETag></Part>`;
  });
  const space = "http://s3.amazonaws.com/doc/2006-03-01/";
  const bytes = new TextEncoder().encode(
    `<CompleteMultipartUpload xmlns="${space}">${parts.join("")}</CompleteMultipartUpload>`,
  );
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await requests.make(
    {
      method: "POST",
      name,
      verb: "finish writing",
      query: { uploadId: id },
      body: { bytes, sha256 },
    },
    async (answer) => {
      const code = codeIn(await answer.text());
      if (answer.status < 300 && code === "") return;
      // An earlier try may have done it, though its answer was lost.
      if (answer.status === 404 && await isThere()) return;
      throw new Broken(`it answers ${answer.status}${code ? ` (${code})` : ""}`);
    },
  );
}

/** Reads until there is no room any more; false where the file ends before. */
async function fill(file: Deno.FsFile, bytes: Uint8Array): Promise<boolean> {
  for (let at = 0; at < bytes.length;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) return false;
    at += count;
  }
  return true;
}
