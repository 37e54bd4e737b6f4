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
  const token = environment.HF_TOKEN ??
    await Deno.readTextFile(environment.HF_TOKEN_PATH ?? `${home}/token`).catch(() => "");
  return {
    cacheDir: getHFHubCachePath(),
    hubUrl: (environment.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, ""),
    ...(token.trim() ? { accessToken: token.trim() } : {}),
    offline: /^(1|on|yes|true)$/i.test(environment.HF_HUB_OFFLINE ?? ""),
  };
}
