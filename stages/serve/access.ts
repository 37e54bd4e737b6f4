import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "./api_error.ts";
import type { ServeOptions } from "./options.ts";

/** Refuses a request that may not be answered; what is public is not asked about. */
export type Access = (request: Request) => void;

/** Refuses to open a server to others without a key. */
export function checkBinding({ host, apiKey }: Pick<ServeOptions, "host" | "apiKey">): void {
  if (apiKey !== undefined || isLoopback(host)) return;
  throw new TypeError(
    `Cannot listen at "${host}": others can reach it and there is no API key, ` +
      "expected one; set QUATTUOR_API_KEY or say --api-key-file, or listen at 127.0.0.1",
  );
}

/**
 * Lets requests in that have the key, or where there is none those made to this machine by its name.
 *
 * The name matters since a page of another site can have its own name lead to loopback.
 */
export function openAccess({ apiKey, hosts, host }: ServeOptions): Access {
  if (apiKey === undefined) return (request) => checkHost(request, [host, ...hosts]);
  const wanted = digest(apiKey);
  return (request) => {
    const header = request.headers.get("authorization") ?? "";
    // Anthropic's clients say it in a header of its own.
    const [, bearer] = /^Bearer +(.*)$/i.exec(header) ?? [];
    const given = bearer ?? request.headers.get("x-api-key") ?? undefined;
    if (given !== undefined && timingSafeEqual(digest(given), wanted)) return;
    throw new ApiError(
      401,
      `Cannot let the request in: ${
        given === undefined ? "it has no" : "it has another"
      } API key, ` +
        'expected "Authorization: Bearer <key>"; lm-eval sends it to the tokenizer routes only ' +
        "where auth_token=<key> is in its model_args",
      { code: "invalid_api_key", headers: { "www-authenticate": "Bearer" } },
    );
  };
}

/** Whether only this machine reaches an address. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host) || host.endsWith(".localhost");
}

function checkHost(request: Request, names: readonly string[]): void {
  const { hostname } = new URL(request.url);
  if (isLoopback(hostname) || names.includes(hostname)) return;
  throw new ApiError(
    403,
    `Cannot let the request in: it is for "${hostname}", expected localhost; ` +
      "name other hosts with --server-name or set an API key",
    { code: "host_not_allowed" },
  );
}

/** Equally long whatever the key, so that comparing tells nothing of it. */
function digest(key: string): Uint8Array {
  return createHash("sha256").update(key).digest();
}
