import { checkBinding } from "./access.ts";
import { toApiError, unavailable } from "./api_error.ts";
import { listen, type Listener } from "./listen.ts";
import { API_KEY_VARIABLE, readServeOptions, type ServeOptions } from "./options.ts";

/** An address that is taken before there is a model to answer with; disposing it gives it back. */
export interface Door extends AsyncDisposable {
  /** What was said, checked, with what holds for the rest. */
  readonly options: ServeOptions;
  readonly listener: Listener;
  /** Where it is reached, without a slash at the end. */
  readonly url: string;
  /** Has requests answered from now on; until then they get status 503. */
  open(answer: (request: Request) => Response | Promise<Response>): void;
  /** Has them get status 503 again. */
  shut(): void;
}

/**
 * Checks the options of a server (see `serveOptions`) and takes its address; throws in a sentence where
 * one of them cannot be, or others would reach the address without a key.
 */
export async function openDoor(said: Readonly<Record<string, unknown>>): Promise<Door> {
  const read = readServeOptions(said);
  const apiKey = read.apiKey ?? (Deno.env.get(API_KEY_VARIABLE) || undefined);
  const options = { ...read, ...apiKey === undefined ? {} : { apiKey } };
  checkBinding(options);
  let answer: (request: Request) => Response | Promise<Response> = notYet;
  const listener = await listen(options, (request) => answer(request));
  const { hostname, port } = listener;
  return {
    options,
    listener,
    url: `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
    open(given) {
      answer = given;
    },
    shut() {
      answer = notYet;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      listener.cut();
      await listener.gone;
    },
  };
}

function notYet(): Response {
  const { status, body, headers } = toApiError(
    unavailable("Cannot take the request: the model is being made"),
  );
  return Response.json(body, { status, headers });
}
