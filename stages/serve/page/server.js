/** Asks the server that this page came from, by the same routes as every client. */

/** The key lives as long as the tab. */
export const key = {
  get: () => sessionStorage.getItem("key") ?? "",
  set: (value) => sessionStorage.setItem("key", value),
};

/** What to do when the server asks for a key. */
let onKey = () => {};
export const whenKeyIsAsked = (act) => onKey = act;

/** Asks for something; what is refused throws with the reason that the server gives. */
export async function ask(path, { body, signal } = {}) {
  const response = await fetch(path, {
    signal,
    headers: {
      ...key.get() !== "" && { authorization: `Bearer ${key.get()}` },
      ...body && { "content-type": "application/json" },
    },
    ...body && { method: "POST", body: JSON.stringify(body) },
  });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status === 401) onKey();
  throw new Error(said.error?.message ?? `The server says ${response.status}`);
}

/** Values of a stream of server-sent events. */
export async function* events(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      yield JSON.parse(line.slice("data: ".length));
    }
  }
}
