/**
 * Conversations, kept in the browser alone.
 *
 * A chat is `{ id, at, turns }`, a turn `{ text, answers }`, an answer `{ model, text, thought, note }`: one of
 * each model that was asked. A turn is `plain` where its answers go on with its text.
 */
import { download } from "./dom.js";

const PLACE = "quattuor.chats";
const MOST = 200;
const TITLE = 60;

let chats = read();

/** All that are kept, the latest first. */
export const allChats = () => chats;

/** A chat that is kept once something was said. */
export const newChat = () => ({ id: crypto.randomUUID?.() ?? `${Date.now()}`, at: 0, turns: [] });

/** Keeps a chat as it is now, before all others. */
export function keepChat(chat) {
  chat.at = Date.now();
  chats = [chat, ...chats.filter(({ id }) => id !== chat.id)].slice(0, MOST);
  write();
}

/** Forgets one chat, or all. */
export function forget(id) {
  chats = id === undefined ? [] : chats.filter((chat) => chat.id !== id);
  write();
}

/** What a chat is called: how it begins. */
export function titleOf({ turns }) {
  const text = turns[0]?.text.trim().replaceAll(/\s+/g, " ") ?? "";
  return text.length > TITLE ? `${text.slice(0, TITLE - 1)}…` : text;
}

/** Messages up to a turn as one of the models has seen them; what has no answer, or was no chat, is left out. */
export function messagesOf({ turns }, { system, upTo = turns.length, model } = {}) {
  const said = turns.slice(0, upTo).flatMap(({ text, answers, plain }) => {
    const answer = answers.find((one) => one.model === model) ?? answers[0];
    if (plain || !answer?.text) return [];
    return [{ role: "user", content: text }, { role: "assistant", content: answer.text }];
  });
  return system === undefined ? said : [{ role: "system", content: system }, ...said];
}

/** Has the browser keep a chat as a file: as Markdown, or as JSON for programs. */
export function exportChat(chat, form) {
  const name = titleOf(chat).replaceAll(/[^\p{L}\p{N}]+/gu, "_").replaceAll(/^_|_$/g, "") || "chat";
  if (form === "json") download(`${name}.json`, laidOut(plain(chat)), "application/json");
  else download(`${name}.md`, markdownOf(chat), "text/markdown");
}

/** Has the browser keep all chats as one file. */
export function exportAll() {
  download("chats.json", laidOut(chats.map(plain)), "application/json");
}

const laidOut = (value) => `${JSON.stringify(value, undefined, 2)}\n`;

function plain(chat) {
  return {
    title: titleOf(chat),
    at: new Date(chat.at).toISOString(),
    messages: chat.turns.flatMap(({ text, answers }) => [
      { role: "user", content: text },
      ...answers.map(({ model, text, thought }) => ({
        role: "assistant",
        model,
        content: text,
        ...thought && { reasoning_content: thought },
      })),
    ]),
  };
}

function markdownOf(chat) {
  const parts = chat.turns.flatMap(({ text, answers }) => [
    `**You**\n\n${text}`,
    ...answers.map(({ model, text }) => `**${model}**\n\n${text}`),
  ]);
  return `${parts.join("\n\n---\n\n")}\n`;
}

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

/** What does not fit goes, the oldest first; a browser that keeps nothing has it as long as the page. */
function write() {
  for (let count = chats.length; count >= 0; count = Math.floor(count / 2)) {
    try {
      localStorage.setItem(PLACE, JSON.stringify(chats.slice(0, count)));
      return;
    } catch {
      if (count === 0) return;
    }
  }
}
