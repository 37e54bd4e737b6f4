import { Buffer } from "node:buffer";
import { createHash, createHmac, randomUUID } from "node:crypto";

const ACCESS_KEY = "AKIDEXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION = "eu-test-1";
/** How far a request's clock may be off. */
const SKEW_MS = 15 * 60_000;

/** A request whose signature is right. */
export interface Asked {
  readonly method: string;
  /** Bucket and object, decoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
}

/** Stands before the usual answer: may give another one, or change it. */
export type Meddle = (
  asked: Asked,
  usual: () => Response,
) => Response | Promise<Response>;

/**
 * A bucket in memory that speaks as much of S3 as a remote needs, on loopback.
 *
 * It checks signatures (SigV4) with an implementation of its own, after the protocol's description,
 * and refuses what real servers refuse: other payloads than were signed, and bodies of unknown length.
 */
export class FakeS3 implements AsyncDisposable {
  readonly objects = new Map<string, Uint8Array<ArrayBuffer>>();
  /** Uploads in parts that are neither finished nor taken back. */
  readonly uploads = new Map<string, Map<number, Uint8Array<ArrayBuffer>>>();
  /** Such as `PUT bucket/files/…`, in their order; with `partNumber` where there is one. */
  readonly log: string[] = [];
  meddle: Meddle = (_, usual) => usual();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) => this.#answer(request),
    );
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** What a client needs to know. */
  env(changes: Record<string, string> = {}): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.url,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET,
      ...changes,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    const wrong = wrongIn(request, body);
    if (wrong) return failure(403, wrong);
    const { method, headers } = request;
    if (body.length > 0 && headers.get("content-length") === null) return failure(411, "NoLength");
    const path = url.pathname.slice(1).split("/").map(decodeURIComponent).join("/");
    const query = url.searchParams;
    const part = query.get("partNumber");
    this.log.push(`${method} ${path}${part === null ? "" : ` ${part}`}`);
    const asked = { method, path, query, headers };
    return await this.meddle(asked, () => this.#usual(asked, body));
  }

  #usual({ method, path, query, headers }: Asked, body: Uint8Array<ArrayBuffer>): Response {
    if (!path.startsWith("bucket/")) return failure(404, "NoSuchBucket");
    const id = query.get("uploadId");
    if (query.has("uploads")) {
      const begun = randomUUID();
      this.uploads.set(begun, new Map());
      return new Response(`<InitiateMultipartUploadResult><UploadId>${begun}</UploadId></...>`);
    }
    if (id !== null) return this.#parted(id, { method, path, query, body });
    if (method === "PUT") {
      this.objects.set(path, body);
      return new Response(null, { headers: { etag: tagOf(body) } });
    }
    const object = this.objects.get(path);
    if (object === undefined) return failure(404, "NoSuchKey");
    if (method === "HEAD") {
      return new Response(null, { headers: { "content-length": String(object.length) } });
    }
    if (method !== "GET") return failure(405, "MethodNotAllowed");
    const from = Number(/^bytes=(\d+)-$/.exec(headers.get("range") ?? "")?.[1] ?? 0);
    if (from === 0) return new Response(object);
    if (from >= object.length) return failure(416, "InvalidRange");
    const range = `bytes ${from}-${object.length - 1}/${object.length}`;
    return new Response(object.slice(from), { status: 206, headers: { "content-range": range } });
  }

  #parted(
    id: string,
    { method, path, query, body }: Pick<Asked, "method" | "path" | "query"> & {
      readonly body: Uint8Array<ArrayBuffer>;
    },
  ): Response {
    const parts = this.uploads.get(id);
    if (parts === undefined) return failure(404, "NoSuchUpload");
    if (method === "DELETE") {
      this.uploads.delete(id);
      return new Response(null, { status: 204 });
    }
    if (method === "PUT") {
      parts.set(Number(query.get("partNumber")), body);
      return new Response(null, { headers: { etag: tagOf(body) } });
    }
    const listed = [
      ...new TextDecoder().decode(body).matchAll(
        /<PartNumber>(\d+)<\/PartNumber><ETag>(?:&quot;|")([0-9a-f]+)(?:&quot;|")<\/ETag>/g,
      ),
    ];
    const all = listed.map(([, number, tag]) => {
      const bytes = parts.get(Number(number));
      return bytes && tagOf(bytes) === `"${tag}"` ? bytes : undefined;
    });
    if (all.length === 0 || all.some((bytes) => !bytes)) return failure(400, "InvalidPart");
    this.objects.set(path, new Uint8Array(Buffer.concat(all.flatMap((bytes) => bytes ?? []))));
    this.uploads.delete(id);
    return new Response(`<CompleteMultipartUploadResult></CompleteMultipartUploadResult>`);
  }
}

/** An answer that refuses, as S3 words it. */
export function failure(status: number, code: string, headers = {}): Response {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
  return new Response(body, { status, headers });
}

/** What is wrong with the signature of a request, as S3 words it. */
function wrongIn({ method, url, headers }: Request, body: Uint8Array): string | undefined {
  const given =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/
      .exec(headers.get("authorization") ?? "");
  if (!given) return "AccessDenied";
  const [, id, day = "", region = "", names = "", signature] = given;
  if (id !== ACCESS_KEY) return "InvalidAccessKeyId";
  if (region !== REGION) return "AuthorizationHeaderMalformed";
  const signed = names.split(";");
  const unsigned = [...headers.keys()].some((n) => n.startsWith("x-amz-") && !signed.includes(n));
  if (unsigned || !signed.includes("host")) return "AccessDenied";
  const moment = headers.get("x-amz-date") ?? "";
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(moment) ?? [];
  const sent = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (!moment.startsWith(day) || !(Math.abs(Date.now() - sent) < SKEW_MS)) {
    return "RequestTimeTooSkewed";
  }
  const payload = headers.get("x-amz-content-sha256") ?? "";
  if (payload !== hex(body)) return "XAmzContentSHA256Mismatch";
  // The text of the URL as it came, since its encoding is what is signed.
  const [, path = "", search = ""] = /^https?:\/\/[^/]+([^?]*)\??(.*)$/.exec(url) ?? [];
  const query = search.split("&").filter((pair) => pair !== "")
    .map((pair) => pair.includes("=") ? pair : `${pair}=`).sort().join("&");
  const lines = signed.map((name) =>
    `${name}:${(headers.get(name) ?? "").trim().replace(/ +/g, " ")}\n`
  );
  const canonical = [method, path, query, lines.join(""), names, payload].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", moment, scope, hex(canonical)].join("\n");
  const key = [day, region, "s3", "aws4_request"].reduce<string | Uint8Array>(
    (key, word) => createHmac("sha256", key).update(word).digest(),
    `AWS4${SECRET}`,
  );
  const right = createHmac("sha256", key).update(text).digest("hex");
  return right === signature ? undefined : "SignatureDoesNotMatch";
}

function hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function tagOf(bytes: Uint8Array): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}
