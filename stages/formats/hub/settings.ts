import { getHFHubCachePath } from "@huggingface/hub";
import { homedir } from "node:os";

/** Where the hub is and how to reach it, by the variables that `huggingface_hub` obeys. */
export interface HubSettings {
  readonly cacheDir: string;
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly offline: boolean;
}

/** Reads HF_HUB_CACHE, HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH and HF_HUB_OFFLINE. */
export async function hubSettings(): Promise<HubSettings> {
  const environment = Deno.env.toObject();
  const home = environment.HF_HOME ??
    `${environment.XDG_CACHE_HOME ?? `${homedir()}/.cache`}/huggingface`;
  const tokenPath = environment.HF_TOKEN_PATH ?? `${home}/token`;
  const token = (environment.HF_TOKEN ?? await Deno.readTextFile(tokenPath).catch(() => "")).trim();
  if (token !== "" && !token.startsWith("hf_")) {
    const source = environment.HF_TOKEN === undefined ? `"${tokenPath}"` : "HF_TOKEN";
    throw new TypeError(
      `Cannot use the token of ${source}: it does not begin with hf_, expected it to`,
    );
  }
  return {
    cacheDir: getHFHubCachePath(),
    hubUrl: (environment.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, ""),
    ...(token ? { accessToken: token } : {}),
    offline: /^(1|on|yes|true)$/i.test(environment.HF_HUB_OFFLINE ?? ""),
  };
}
