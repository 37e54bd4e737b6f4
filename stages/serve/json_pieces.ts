import { turn } from "./turn.ts";

/** Entries of a list that are made and written in one go. */
const ENTRIES = 64;

/** Characters of an answer that are sent in one go. */
const PIECE = 64 << 10;

/** The JSON of a list in pieces; `make` lays some of its entries out. */
export function* listJson<T>(
  all: readonly T[],
  make: (some: readonly T[]) => readonly unknown[],
): Generator<string> {
  yield "[";
  for (let at = 0; at < all.length; at += ENTRIES) {
    const text = JSON.stringify(make(all.slice(at, at + ENTRIES))).slice(1, -1);
    yield at > 0 ? `,${text}` : text;
  }
  yield "]";
}

/**
 * Answers with JSON that comes in pieces: at once where it is short, else as a stream that is made as
 * the client reads, with turns for other requests between. `onEnd` is called when all is sent, or the
 * client has left.
 */
export async function sendJson(pieces: Iterator<string>, onEnd: () => void): Promise<Response> {
  const encoder = new TextEncoder();
  const more = async () => {
    let text = "";
    while (text.length < PIECE) {
      const { done, value } = pieces.next();
      if (done) return { text, done };
      text += value;
      await turn();
    }
    return { text, done: false };
  };
  const headers = { "content-type": "application/json" };
  const first = await more();
  if (first.done) {
    onEnd();
    return new Response(first.text, { headers });
  }
  let begun = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { text, done } = begun ? await more() : first;
      begun = true;
      if (text !== "") controller.enqueue(encoder.encode(text));
      if (!done) return;
      controller.close();
      onEnd();
    },
    cancel: onEnd,
  });
  return new Response(body, { headers });
}
