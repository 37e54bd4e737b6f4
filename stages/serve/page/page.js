/** The page at `/`: talks to its own server by the same routes as every client. */

const part = (id) => document.getElementById(id);
const [talk, form, box, send, stop] = ["talk", "ask", "text", "send", "stop"].map(part);

/** Seconds that the trace shows, a point each. */
const TRACE = 60;
const LOOK_MS = 1000;

let model;
let running;
let turns = [];
let rates = [];
let last;

/** The key lives as long as the tab. */
const key = () => sessionStorage.getItem("key") ?? "";
const headers = () => key() === "" ? {} : { authorization: `Bearer ${key()}` };

async function ask(path, { body, signal } = {}) {
  const response = await fetch(path, {
    signal,
    headers: { ...headers(), ...body ? { "content-type": "application/json" } : {} },
    ...body ? { method: "POST", body: JSON.stringify(body) } : {},
  });
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  if (response.status === 401) askForKey();
  throw new Error(said.error?.message ?? `The server says ${response.status}`);
}

function askForKey() {
  part("keyrow").hidden = false;
  if (!model) {
    part("hello").textContent = "This server asks for an API key";
    showSide(true);
    part("key").focus();
  }
}

/** Texts of a server are put in as text only, so that nothing in them runs. */
function element(name, { text, className } = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function showFacts(list, facts) {
  list.replaceChildren(
    ...facts.filter(([, value]) => value !== undefined).map(([name, value]) => {
      const row = element("div");
      row.append(element("dt", { text: name }), element("dd", { text: value }));
      return row;
    }),
  );
}

const short = (value) =>
  value === undefined
    ? undefined
    : new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);

function size(bytes) {
  if (bytes === undefined) return undefined;
  const [unit, name] = bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}

function showModel({ model: card, context, chat }) {
  model = card.name;
  document.title = card.name;
  part("name").textContent = card.name;
  part("scheme").textContent = card.scheme;
  const { quality } = card;
  showFacts(part("card"), [
    ["Bits a weight", card.bitsPerWeight?.toFixed(2)],
    ["Parameters", short(card.parameters)],
    ["Weights", size(card.bytes)],
    ["Context", `${context.toLocaleString("en")} tokens`],
    ["Perplexity", quality?.perplexity.toFixed(2)],
    ["In full precision", quality?.baseline?.toFixed(2)],
    ["Runs on", card.device],
  ]);
  part("protocol").textContent = quality?.protocol ?? "";
  part("most").max = context;
  part("mode").value = chat ? "chat" : "text";
  part("modes").hidden = !chat;
  part("hello").textContent = chat
    ? "Say something to the model"
    : "This model has no chat template: it goes on with the text you begin";
  showMode();
}

function showMode() {
  const chat = part("mode").value === "chat";
  box.placeholder = chat ? "Say something" : "Begin a text";
  send.textContent = chat ? "Send" : "Go on";
}

function showEngine({ engine, state }) {
  const { used, cached, total } = engine.pages;
  showFacts(part("engine"), [
    ["State", state],
    ["Answering", String(engine.running)],
    ["Waiting", String(engine.waiting)],
    ["Pages in use", `${used.toLocaleString("en")} of ${total.toLocaleString("en")}`],
    ["Pages kept", cached > 0 ? cached.toLocaleString("en") : undefined],
  ]);
  part("pages").value = total > 0 ? used / total : 0;
  const now = { at: performance.now(), tokens: engine.generatedTokens };
  if (last && now.tokens >= last.tokens && now.at > last.at) {
    const rate = (now.tokens - last.tokens) / (now.at - last.at) * 1000;
    rates = [...rates, rate].slice(-TRACE);
    part("rate").textContent = rate < 10 && rate > 0 ? rate.toFixed(1) : Math.round(rate);
    drawTrace();
  }
  last = now;
}

function drawTrace() {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, at) => {
    const x = 240 - (rates.length - 1 - at) * (240 / (TRACE - 1));
    return [x.toFixed(1), (42 - rate / most * 38).toFixed(1)];
  });
  const line = points.map((point) => point.join(",")).join(" ");
  part("trace").querySelector("polyline").setAttribute("points", line);
  const [left] = points[0] ?? ["240"];
  part("trace").querySelector("polygon")
    .setAttribute("points", points.length > 1 ? `${left},44 ${line} 240,44` : "");
}

async function look() {
  if (document.hidden) return;
  try {
    const status = await (await ask("/status")).json();
    if (!model) showModel(status);
    showEngine(status);
  } catch (error) {
    last = undefined;
    part("rate").textContent = "0";
    showFacts(part("engine"), [["State", model ? "not reached" : "unknown"]]);
    if (!model && part("keyrow").hidden) part("hello").textContent = error.message;
  }
}

function addTurn(role, { title, words = "" } = {}) {
  part("hello")?.remove();
  const turn = element("article", { className: `turn ${role}` });
  const text = element("div", { className: "words" });
  if (title) turn.append(element("h2", { text: title }));
  turn.append(text);
  talk.append(turn);
  showWords(text, words);
  talk.scrollTop = talk.scrollHeight;
  return { turn, text };
}

/** Text with what stands between lines of three backquotes as code. */
function showWords(place, words) {
  const pieces = words.split(/^```[^\n]*\n?/m);
  // Only the last piece grows: what is done is not drawn again.
  while (place.childNodes.length > pieces.length) place.lastChild.remove();
  pieces.forEach((piece, at) => {
    const name = at % 2 === 1 ? "pre" : "span";
    let node = place.childNodes[at];
    if (!node || node.localName !== name) {
      node?.remove();
      place.insertBefore(node = element(name), place.childNodes[at] ?? null);
    }
    const shown = name === "pre"
      ? piece.replace(/\n$/, "")
      : beside(piece, { at, of: pieces.length });
    if (node.textContent !== shown) node.textContent = shown;
  });
}

/** Blocks of code have space around them as they are; blank lines beside them would double it. */
function beside(piece, { at, of }) {
  const front = at > 0 ? piece.replace(/^\n+/, "") : piece;
  return at < of - 1 ? front.replace(/\n+$/, "") : front;
}

/** Values of a stream of server-sent events. */
async function* events(response) {
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

function bodyOf(text, messages) {
  const settings = {
    model,
    temperature: Number(part("temperature").value),
    max_tokens: Number(part("most").value),
    stream: true,
    stream_options: { include_usage: true },
  };
  if (part("mode").value === "chat") {
    return ["/v1/chat/completions", { ...settings, messages }];
  }
  return ["/v1/completions", { ...settings, prompt: text }];
}

async function answer(text) {
  const chat = part("mode").value === "chat";
  // A new chat may begin before this answer has ended.
  const messages = turns;
  if (chat) messages.push({ role: "user", content: text });
  const [path, body] = bodyOf(text, messages);
  addTurn(chat ? "user" : "goes-on", { words: text });
  const { turn, text: place } = addTurn("model", chat ? { title: model } : {});
  turn.classList.add("busy");
  talk.setAttribute("aria-busy", "true");
  running = new AbortController();
  toggle(true);
  const start = performance.now();
  let [words, first, usage, reason] = ["", undefined, undefined, undefined];
  try {
    const response = await ask(path, { body, signal: running.signal });
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      usage = event.usage ?? usage;
      const [choice] = event.choices;
      if (!choice) continue;
      reason = choice.finish_reason ?? reason;
      const more = choice.delta?.content ?? choice.text ?? "";
      if (more === "") continue;
      first ??= performance.now();
      words += more;
      const low = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
      showWords(place, words);
      if (low) talk.scrollTop = talk.scrollHeight;
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      turn.append(element("p", { className: "trouble", text: error.message }));
    } else {
      reason = "stopped";
    }
  }
  // A question without an answer is no part of what is asked next.
  if (chat && words === "") messages.pop();
  else if (chat) messages.push({ role: "assistant", content: words });
  const note = noteOf({ usage, reason, start, first });
  if (note) turn.append(element("p", { className: "quiet", text: note }));
  turn.classList.remove("busy");
  talk.removeAttribute("aria-busy");
  talk.scrollTop = talk.scrollHeight;
  running = undefined;
  toggle(false);
}

function noteOf({ usage, reason, start, first }) {
  const now = performance.now();
  const said = [];
  if (usage && first !== undefined) {
    const { completion_tokens: tokens, prompt_tokens: prompt } = usage;
    const rate = tokens > 1 ? `, ${((tokens - 1) / (now - first) * 1000).toFixed(1)} a second` : "";
    said.push(`${tokens} tokens${rate}`, `first after ${((first - start) / 1000).toFixed(2)} s`);
    said.push(`prompt of ${prompt}`);
  }
  if (reason === "length") said.push("cut at the most tokens");
  if (reason === "stopped") said.push("stopped");
  return said.join(" · ");
}

function toggle(busy) {
  send.hidden = busy;
  stop.hidden = !busy;
  if (!busy && document.activeElement === document.body) box.focus();
}

function grow() {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

function submit() {
  const text = box.value;
  if (running || !model || text.trim() === "") return;
  box.value = "";
  grow();
  answer(text);
}

function showSide(shown) {
  part("side").classList.toggle("shown", shown);
  part("fold").setAttribute("aria-expanded", String(shown));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
});
stop.addEventListener("click", () => {
  running?.abort();
  box.focus();
});
part("fresh").addEventListener("click", () => {
  running?.abort();
  turns = [];
  const hello = element("p", { text: "A new conversation" });
  hello.id = "hello";
  talk.replaceChildren(hello);
  box.focus();
});
part("fold").addEventListener(
  "click",
  () => showSide(!part("side").classList.contains("shown")),
);
part("mode").addEventListener("change", showMode);
const enter = () => {
  sessionStorage.setItem("key", part("key").value);
  look();
};
part("key").addEventListener("change", enter);
part("keyrow").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
document.addEventListener("visibilitychange", look);
look();
setInterval(look, LOOK_MS);
