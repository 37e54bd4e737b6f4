import type { HubApiError } from "@huggingface/hub";
import type { HubPlace } from "./place.ts";
import type { HubSettings } from "./settings.ts";

/** What the hub's refusal of a place means, with what would help. */
export function refusal(
  place: string,
  parsed: HubPlace,
  error: HubApiError,
  settings: HubSettings,
): Error {
  const said = `Cannot load "${place}": ${reason(place, parsed, error, settings)}`;
  return new Error(said, { cause: error });
}

function reason(
  place: string,
  parsed: HubPlace,
  { statusCode, data, url }: HubApiError,
  { hubUrl, accessToken }: HubSettings,
): string {
  const link = pageOf(parsed, hubUrl);
  const said = String((data as { readonly error?: unknown } | undefined)?.error ?? "");
  if (statusCode === 429) {
    return `the hub takes no more requests from here for now (status 429), expected it to; wait some minutes${
      accessToken ? "" : ", or set HF_TOKEN, whose requests are counted by themselves"
    }`;
  }
  if ([401, 403].includes(statusCode) && /restricted|gated|authorized list/i.test(said)) {
    return accessToken
      ? `it is gated and the account of HF_TOKEN may not read it (status ${statusCode}), expected access; ask for it at ${link}`
      : `it is gated (status ${statusCode}), expected access; accept its terms at ${link} and set HF_TOKEN to a token of your account`;
  }
  if ([401, 403, 404].includes(statusCode)) {
    const path = place.startsWith("hf:") ? "" : ", and no path here is called so";
    const revision = parsed.revision === "main" ? "" : ` with the revision ${parsed.revision}`;
    return `the hub shows nothing at ${link}${revision} (status ${statusCode})${path}, expected a ${
      parsed.type === "dataset" ? "data set" : "model"
    }; look for its name there, ${
      accessToken
        ? "the account of HF_TOKEN may not read it if it is private"
        : "and set HF_TOKEN if it is private"
    }`;
  }
  return `the hub answers ${statusCode} to ${url}, expected 200; try again later`;
}

/** Where people read of a repository. */
function pageOf({ type, name }: HubPlace, hubUrl: string): string {
  return `${hubUrl}/${type === "dataset" ? "datasets/" : ""}${name}`;
}

/** How files come to a machine that does not reach the hub. */
export function wayToBring({ type, name, file, revision }: HubPlace, folder: string): string {
  const kind = type === "dataset" ? "--repo-type dataset " : "";
  return `on a machine that reaches the hub, hf download ${kind}${name}${file ? ` ${file}` : ""}${
    revision === "main" ? "" : ` --revision ${revision}`
  } makes such a folder, which can be copied to ${folder}; or give the path of a local file`;
}
