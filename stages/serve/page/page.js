/** The page at `/`: talks to its own server by the same routes as every client. */
import { answerPlace, showAnswer, stream } from "./answer.js";
import { keepChat, messagesOf, newChat } from "./chats.js";
import { button, copy, element, part } from "./dom.js";
import { showCard, showEngine, showLost } from "./figures.js";
import { showPast } from "./past.js";
import { ask, key, whenKeyIsAsked } from "./server.js";
import { boundTokens, openSettings, systemPrompt, wishes } from "./settings.js";

const [talk, form, box, send, stop] = ["talk", "ask", "text", "send", "stop"].map(part);
const LOOK_MS = 1000;
/** How near its end a conversation has to be to follow what comes. */
const NEAR = 80;

/** The model that the page is about; undefined until the server was reached. */
let model;
let chat = newChat();
/** The model that the figures are of. */
let shown;
let running;
/** The turn that is written anew. */
let editing;

const isChat = () => part("mode").value === "chat";

/** Names of the models that are asked: one, or two side by side. */
function asked() {
  const beside = isChat() && !part("beside-row").hidden ? part("beside").value : "";
  const one = part("models-row").hidden ? model : part("model").value;
  return beside !== "" && beside !== one ? [one, beside] : [one];
}

/** Where fingers type, a keyboard would hide half of the page. */
function focusBox() {
  if (!matchMedia("(pointer: coarse)").matches) box.focus();
}

const toEnd = () => talk.scrollTop = talk.scrollHeight;

/** Draws what has come, and follows it where the end was in sight before. */
function followed(draw) {
  const low = talk.scrollHeight - talk.scrollTop - talk.clientHeight < NEAR;
  draw();
  if (low) toEnd();
}

function showTurn(turn, at) {
  part("hello")?.remove();
  const plain = turn.plain === true;
  const words = element("div", { className: "words", text: turn.text });
  const mine = element("article", { className: plain ? "turn goes-on" : "turn user" }, words);
  const tools = element("div", { className: "tools mine" });
  tools.append(
    button("Copy", (from) => copy(turn.text, from), { ariaLabel: "Copy what you said" }),
    button("Edit", () => edit(at)),
  );
  const places = turn.answers.map((answer) => {
    const place = answerPlace({ title: plain ? undefined : answer.model, plain });
    showAnswer(place, answer);
    return place;
  });
  const answers = element(
    "div",
    { className: places.length > 1 ? "answers beside" : "answers" },
    ...places.map(({ whole }) => whole),
  );
  const whole = element("div", { className: "exchange" }, mine, tools, answers);
  talk.append(whole);
  return { whole, places };
}

function showChat() {
  talk.replaceChildren();
  if (chat.turns.length === 0) greet();
  chat.turns.forEach(showTurn);
  offerAgain();
  toEnd();
  past();
}

function greet() {
  const text = model === undefined
    ? "Loading"
    : isChat()
    ? "Say something to the model"
    : "This model has no chat template: it goes on with the text you begin";
  talk.append(element("p", { id: "hello", text }));
}

/** The last answer can be made anew. */
function offerAgain() {
  talk.querySelectorAll(".again").forEach((one) => one.remove());
  if (running || chat.turns.length === 0) return;
  talk.lastElementChild?.querySelector(".turn.model .tools")?.append(
    button("Regenerate", regenerate, { className: "small again" }),
  );
}

function past() {
  showPast({ current: chat.id, open: openChat, gone: () => openChat(newChat()) });
}

function openChat(one) {
  running?.abort();
  leaveEdit();
  chat = one;
  showChat();
  part("past").classList.remove("shown");
  part("chats-fold").setAttribute("aria-expanded", "false");
  focusBox();
}

function requestOf(turn, at, { name, of }) {
  const settings = {
    model: name,
    ...wishes(),
    stream: true,
    stream_options: { include_usage: true },
  };
  if (turn.plain) return ["/v1/completions", { ...settings, prompt: turn.text }];
  const before = messagesOf(of, { system: systemPrompt(), upTo: at, model: name });
  const messages = [...before, { role: "user", content: turn.text }];
  return ["/v1/chat/completions", { ...settings, messages }];
}

/** Asks for the answers to the last turn. */
async function answerTurn(turn, names) {
  // Another chat may be opened before this answer has ended.
  const of = chat;
  turn.answers = names.map((name) => ({ model: name, text: "" }));
  const at = of.turns.indexOf(turn);
  const { places } = showTurn(turn, at);
  toEnd();
  const mine = running = new AbortController();
  toggle(true);
  keepChat(of);
  past();
  await Promise.all(turn.answers.map((answer, i) => {
    const [path, body] = requestOf(turn, at, { name: names[i], of });
    return stream(places[i], { path, body, answer, signal: mine.signal, around: followed });
  }));
  keepChat(of);
  if (running === mine) {
    running = undefined;
    toggle(false);
  }
  if (of === chat) followed(offerAgain);
  past();
}

async function say(text) {
  if (editing !== undefined) {
    chat.turns.splice(editing);
    leaveEdit();
    showChat();
  }
  const turn = { text, answers: [], ...!isChat() && { plain: true } };
  chat.turns.push(turn);
  await answerTurn(turn, asked());
}

async function regenerate() {
  const turn = chat.turns.at(-1);
  if (running || !turn) return;
  talk.lastElementChild.remove();
  await answerTurn(turn, asked());
}

function edit(at) {
  if (running) return;
  editing = at;
  box.value = chat.turns[at].text;
  part("editing").hidden = false;
  [...talk.children].forEach((one, i) => one.classList.toggle("goes", i >= at));
  grow();
  box.focus();
}

function leaveEdit() {
  if (editing === undefined) return;
  editing = undefined;
  part("editing").hidden = true;
  talk.querySelectorAll(".goes").forEach((one) => one.classList.remove("goes"));
  box.value = "";
  grow();
}

function toggle(busy) {
  send.hidden = busy;
  stop.hidden = !busy;
  talk.toggleAttribute("aria-busy", busy);
  if (busy) offerAgain();
  if (!busy && document.activeElement === document.body) focusBox();
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
  say(text);
}

function fold(panel, by) {
  const shown = part(panel).classList.toggle("shown");
  part(by).setAttribute("aria-expanded", String(shown));
}

function begin({ model: card, chat: chats }) {
  model = card.name;
  part("mode").value = chats ? "chat" : "text";
  part("modes").hidden = part("system-row").hidden = !chats;
  showMode();
  showChat();
}

/** Shows what the first of the models is that are asked. */
function showFirst(statuses) {
  const [name] = asked();
  const { model: card, context } = statuses.find(({ model }) => model.name === name) ?? statuses[0];
  if (shown === card.name) return;
  shown = card.name;
  document.title = card.name;
  part("name").textContent = card.name;
  showCard(card, context);
  boundTokens(context);
}

/** Where several models are served one is chosen, and another one may stand beside it. */
async function showModels() {
  const { data } = await (await ask("/v1/models")).json();
  // Other names of a model have its name as their root.
  const own = data.filter(({ id, root }) => root === undefined || root === id);
  part("models-row").hidden = part("beside-row").hidden = own.length < 2;
  const options = own.map(({ id, meta }) => {
    const text = meta?.scheme ? `${id}, ${meta.scheme}` : id;
    return element("option", { value: id, text });
  });
  part("model").replaceChildren(...options.map((one) => one.cloneNode(true)));
  part("model").value = model;
  part("beside").replaceChildren(element("option", { value: "", text: "none" }), ...options);
}

function showMode() {
  const chats = isChat();
  box.placeholder = chats ? "Say something" : "Begin a text";
  send.textContent = chats ? "Send" : "Go on";
}

async function look() {
  if (document.hidden) return;
  try {
    const status = await (await ask("/status")).json();
    // A server of several models tells of each.
    const all = status.models ?? [status];
    if (!model) {
      begin(status);
      await showModels();
    }
    showFirst(all);
    showEngine(all);
  } catch (error) {
    showLost(model !== undefined);
    const hello = part("hello");
    if (!model && part("keyrow").hidden && hello) hello.textContent = error.message;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", grow);
box.addEventListener("keydown", (event) => {
  if (event.key === "ArrowUp" && box.value === "" && chat.turns.length > 0) {
    event.preventDefault();
    edit(chat.turns.length - 1);
  }
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (running) running.abort();
  else leaveEdit();
});
stop.addEventListener("click", () => {
  running?.abort();
  focusBox();
});
part("fresh").addEventListener("click", () => openChat(newChat()));
part("leave").addEventListener("click", () => {
  leaveEdit();
  box.focus();
});
part("fold").addEventListener("click", () => fold("side", "fold"));
part("chats-fold").addEventListener("click", () => fold("past", "chats-fold"));
part("mode").addEventListener("change", showMode);
part("model").addEventListener("change", look);
whenKeyIsAsked(() => {
  part("keyrow").hidden = false;
  if (model) return;
  part("hello").textContent = "This server asks for an API key";
  part("side").classList.add("shown");
  part("fold").setAttribute("aria-expanded", "true");
  part("key").focus();
});
const enter = () => {
  key.set(part("key").value);
  look();
};
part("key").addEventListener("change", enter);
part("keyrow").addEventListener("submit", (event) => {
  event.preventDefault();
  enter();
});
document.addEventListener("visibilitychange", look);
openSettings();
past();
look();
setInterval(look, LOOK_MS);
